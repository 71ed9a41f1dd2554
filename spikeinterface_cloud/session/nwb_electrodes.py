"""The streams of a session as one: devices, electrode groups and electrodes of all probes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from spikeinterface_cloud.errors import SortingError
from spikeinterface_cloud.exports.nwb_session import (
    UNKNOWN_START,
    DeviceFacts,
    ElectrodeFacts,
    GroupFacts,
    Session,
    TableColumn,
)

#: the metadata that all streams of a session share
SHARED = ("start", "timestamps_reference", "subject", "fields", "description")


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """Where the electrodes of a stream are in the file of the session."""

    #: row of its first electrode
    first_row: int
    #: the names of its electrode groups, by their names in the stream's own file
    groups: Mapping[str, str]


def join_sessions(sessions: Mapping[str, Session]) -> tuple[Session, dict[str, Placed]]:
    """Return the session with the electrodes of all streams, and where those of each are.

    Streams of one NWB source share its table of electrodes. Elsewhere each stream has a probe of
    its own, even if it looks like another's.

    Raises
    ------
    SortingError
        The streams have different subjects, starts or other metadata.
    """
    first = next(iter(sessions.values()))
    for stream, session in sessions.items():
        _check_same_session(next(iter(sessions)), first, stream, session)
    if len(sessions) == 1 or _share_electrodes(list(sessions.values())):
        own_names = {group.name: group.name for group in first.groups}
        return first, dict.fromkeys(sessions, Placed(first_row=0, groups=own_names))
    renamed = {stream: _renamed(stream, session) for stream, session in sessions.items()}
    n_electrodes = [len(session.electrodes.ids) for session in renamed.values()]
    joined = replace(
        first,
        devices=[each for session in renamed.values() for each in session.devices],
        groups=[each for session in renamed.values() for each in session.groups],
        electrodes=_join_electrodes([session.electrodes for session in renamed.values()]),
    )
    placed = {
        stream: Placed(
            first_row=first_row,
            groups={group.name: _in_session(stream, group.name) for group in session.groups},
        )
        for (stream, session), first_row in zip(
            sessions.items(), accumulate(n_electrodes[:-1], initial=0), strict=True
        )
    }
    return joined, placed


def _check_same_session(one: str, first: Session, other: str, session: Session) -> None:
    for name in SHARED:
        values = getattr(first, name), getattr(session, name)
        if values[0] != values[1]:
            raise SortingError(
                f"{one} and {other} are not of one session: their {name.replace('_', ' ')} differ "
                f"({values[0]}; {values[1]}); give each session a target of its own, and sort "
                "both streams again"
            )


def _share_electrodes(sessions: Sequence[Session]) -> bool:
    """Return whether all have the table of the same NWB file.

    Without a start they are not from an NWB file, and two probes of one kind look the same.
    """
    first = sessions[0]
    return first.start != UNKNOWN_START and all(
        same_electrodes(first, session) for session in sessions[1:]
    )


def same_electrodes(one: Session, other: Session) -> bool:
    """Return whether two sessions have the same devices, groups and electrodes."""
    names = [[column.name for column in each.electrodes.columns] for each in (one, other)]
    return (
        one.devices == other.devices
        and one.groups == other.groups
        and list(one.electrodes.ids) == list(other.electrodes.ids)
        and list(one.electrodes.groups) == list(other.electrodes.groups)
        and names[0] == names[1]
        and all(
            _equal(first.values, second.values)
            for first, second in zip(one.electrodes.columns, other.electrodes.columns, strict=True)
        )
    )


def _equal(values: np.ndarray, others: np.ndarray) -> bool:
    return np.array_equal(values, others, equal_nan=values.dtype.kind == "f")


def _in_session(stream: str, name: str) -> str:
    """Return the name of a stream's device or group in the file of the session.

    >>> _in_session("imec0.ap", "probe0")
    'imec0.ap probe0'
    """
    return f"{stream} {name}".replace("/", "-").replace(":", "-")  # HDF5 takes neither


def _renamed(stream: str, session: Session) -> Session:
    """Return the session, in which the names of devices and groups are the stream's own."""

    def model_of(device: DeviceFacts) -> Mapping[str, str] | None:
        model = device.model
        return None if model is None else {**model, "name": _in_session(stream, model["name"])}

    return replace(
        session,
        devices=[
            replace(each, name=_in_session(stream, each.name), model=model_of(each))
            for each in session.devices
        ],
        groups=[_renamed_group(stream, each) for each in session.groups],
        electrodes=replace(
            session.electrodes,
            groups=[_in_session(stream, name) for name in session.electrodes.groups],
        ),
    )


def _renamed_group(stream: str, group: GroupFacts) -> GroupFacts:
    return replace(
        group, name=_in_session(stream, group.name), device=_in_session(stream, group.device)
    )


def _join_electrodes(tables: Sequence[ElectrodeFacts]) -> ElectrodeFacts:
    groups = [name for table in tables for name in table.groups]
    return ElectrodeFacts(
        ids=range(len(groups)),
        groups=groups,
        columns=join_columns([table.columns for table in tables], [len(t.ids) for t in tables]),
        rows={},
    )


def join_columns(
    tables: Sequence[Iterable[TableColumn]], n_rows: Sequence[int]
) -> list[TableColumn]:
    """Return the columns of several tables, one table below the other.

    A column that a table lacks is empty there: NaN for numbers, else an empty text.
    """
    found = [{column.name: column for column in columns} for columns in tables]
    names = list(dict.fromkeys(name for columns in found for name in columns))
    joined = []
    for name in names:
        have = [columns[name] for columns in found if name in columns]
        parts = [columns.get(name) for columns in found]
        joined.append(
            TableColumn(
                name=name,
                description="; ".join(dict.fromkeys(column.description for column in have)),
                values=_join_values(
                    [None if part is None else part.values for part in parts], n_rows
                ),
            )
        )
    return joined


def _join_values(parts: Sequence[np.ndarray | None], n_rows: Sequence[int]) -> np.ndarray:
    kinds = {part.dtype.kind for part in parts if part is not None}
    are_numbers = kinds <= set("iuf")
    if kinds == {"b"} and all(part is not None for part in parts):
        are_numbers = True
    missing, dtype = (np.nan, None) if are_numbers else ("", object)
    filled = [
        np.full(n, missing, dtype) if part is None else part
        for part, n in zip(parts, n_rows, strict=True)
    ]
    if are_numbers:
        return np.concatenate(filled)
    return np.array([str(value) for part in filled for value in part], dtype=object)
