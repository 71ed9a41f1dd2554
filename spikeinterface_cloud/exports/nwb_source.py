"""The session as the source's NWB file has it: only its small metadata is read.

It is read by h5py or zarr rather than by pynwb, as files of every age and with every extension have
these groups in the same place, and one that is streamed is not read whole for them.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

import h5py
import numpy as np
import spikeinterface as si
from spikeinterface.extractors.nwbextractors import NwbRecordingExtractor, read_file_from_backend

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.exports.nwb_session import (
    UNKNOWN,
    DeviceFacts,
    ElectrodeFacts,
    GroupFacts,
    Session,
    TableColumn,
    session_of_recording,
)
from spikeinterface_cloud.recording.formats.nwb_items import (
    is_array,
    is_text,
    linked,
    read_texts,
)
from spikeinterface_cloud.recording.formats.nwb_series import RenamedChannels
from spikeinterface_cloud.recording.messages import one_line

logger = logging.getLogger(__name__)

ELECTRODES = "general/extracellular_ephys/electrodes"

#: texts below `general`, by the argument of `pynwb.NWBFile` that takes them
TEXTS = {
    name: name
    for name in (
        "session_id",
        "experiment_description",
        "institution",
        "lab",
        "notes",
        "pharmacology",
        "protocol",
        "slices",
        "surgery",
        "virus",
        "data_collection",
    )
} | {"stimulus_notes": "stimulus"}

#: lists of texts below `general`
LISTS = ("experimenter", "keywords", "related_publications")

SUBJECT_TEXTS = (
    "age",
    "description",
    "genotype",
    "sex",
    "species",
    "subject_id",
    "weight",
    "strain",
)

DEVICE_MODEL_TEXTS = ("description", "manufacturer", "model_number")
DEVICE_TEXTS = (*DEVICE_MODEL_TEXTS, "model_name", "serial_number")


def find_session(recording: si.BaseRecording, opened: si.BaseRecording | None = None) -> Session:
    """Return the session of the source's NWB file, or what the recording itself provides.

    Parameters
    ----------
    opened
        what the file holds, if the recording joins several; else the recording leads to it
    """
    source: Any = recording if opened is None else opened
    channel_ids = None
    while source.get_parent() is not None:
        if isinstance(source, RenamedChannels):
            channel_ids = list(source.channel_ids)
        source = source.get_parent()
    if not isinstance(source, NwbRecordingExtractor):
        return session_of_recording(recording)
    file = read_file_from_backend(file_path=source.file_path, stream_mode=source.stream_mode)
    try:
        with file if isinstance(file, h5py.File) else nullcontext():  # zarr's has no end
            ids = channel_ids or list(source.channel_ids)
            return read_session(file, source.electrical_series_path, ids)
    except Exception as error:  # what is where metadata should be raises anything
        raise RecordingError(
            f"EXPORTS=nwb: the source's session or electrodes cannot be read ({one_line(error)}); "
            "repair the file, or leave nwb out of EXPORTS"
        ) from error


def read_session(file: Any, series_path: str, channel_ids: list[Any]) -> Session:
    """Read the session of an open NWB file, whose electrical series has these channels.

    It is an `h5py.File`, or a `zarr.Group`.
    """
    region = linked(file, file[series_path], "electrodes")[:].tolist()
    electrodes = read_electrodes(file)
    n_electrodes = len(electrodes.ids)
    if not all(0 <= row < n_electrodes for row in region):
        raise ValueError(f"the series names electrodes that are not among the {n_electrodes}")
    rows = dict(zip(channel_ids, region, strict=True))
    return read_metadata(file, replace(electrodes, rows=rows), series=_series(file, series_path))


def read_metadata(file: Any, electrodes: ElectrodeFacts, series: str | None = None) -> Session:
    """Read all but the electrodes of an open NWB file."""
    devices = [_device(file, group) for group in _children(file, "general/devices")]
    return Session(
        description=_text(file, "session_description") or UNKNOWN,
        start=datetime.fromisoformat(_text(file, "session_start_time") or ""),
        timestamps_reference=_date(_text(file, "timestamps_reference_time")),
        fields=_fields(file),
        subject=_subject(file),
        devices=devices,
        groups=[_group(file, group) for group in _children(file, "general/extracellular_ephys")],
        electrodes=electrodes,
        series=series,
    )


def _series(file: Any, series_path: str) -> str | None:
    """Return the name of the series if the file has several."""
    acquired = [_attribute(each, "neurodata_type") for each in file["acquisition"].values()]
    return series_path.rpartition("/")[2] if acquired.count("ElectricalSeries") > 1 else None


def _fields(file: Any) -> dict[str, Any]:
    texts = {name: _text(file, f"general/{place}") for name, place in TEXTS.items()}
    lists = {name: _texts(file, f"general/{name}") for name in LISTS}
    return {name: value for name, value in (texts | lists).items() if value}


def _subject(file: Any) -> dict[str, Any]:
    place = "general/subject"
    found: dict[str, Any] = {name: _text(file, f"{place}/{name}") for name in SUBJECT_TEXTS}
    found["date_of_birth"] = _date(_text(file, f"{place}/date_of_birth"))
    if found["age"]:
        reference = file[f"{place}/age"].attrs.get("reference")
        found["age__reference"] = reference if reference in ("birth", "gestational") else None
    return {name: value for name, value in found.items() if value}


def _children(file: Any, place: str) -> Iterator[Any]:
    """Yield the devices, or the electrode groups, of a group."""
    for child in file.get(place, {}).values():
        kind = _attribute(child, "neurodata_type")
        is_table = "colnames" in child.attrs
        if not is_array(child) and kind and kind != "DeviceModel" and not is_table:
            yield child


def _device(file: Any, group: Any) -> DeviceFacts:
    model = linked(file, group, "model")
    if model is not None:
        texts = {"manufacturer": UNKNOWN} | _attributes(model, DEVICE_MODEL_TEXTS)
        model = {"name": item_name(model)} | texts
    return DeviceFacts(name=item_name(group), fields=_attributes(group, DEVICE_TEXTS), model=model)


def _attributes(group: Any, names: Iterable[str]) -> dict[str, str]:
    return {name: text for name in names if (text := _attribute(group, name))}


def _group(file: Any, group: Any) -> GroupFacts:
    device = linked(file, group, "device")
    devices = _children(file, "general/devices")
    name = next((item_name(each) for each in devices if each == device), UNKNOWN)
    return GroupFacts(
        name=item_name(group),
        description=_attribute(group, "description") or UNKNOWN,
        location=_attribute(group, "location") or UNKNOWN,
        device=name,
    )


def read_electrodes(file: Any) -> ElectrodeFacts:
    """Read the table of electrodes of an open NWB file, without the channels of a series."""
    table = file[ELECTRODES]
    names = [str(name) for name in table.attrs["colnames"] if name not in ("group", "group_name")]
    columns = [read_column(table, name) for name in names]
    kept = [column for column in columns if column is not None]
    if len(kept) < len(names):
        left_out = sorted(set(names) - {column.name for column in kept})
        logger.warning("electrode columns that are no plain values: %s", ", ".join(left_out))
    return ElectrodeFacts(
        ids=table["id"][:].tolist(), groups=_electrode_groups(file, table), columns=kept, rows={}
    )


def _electrode_groups(file: Any, table: Any) -> list[str]:
    if isinstance(table, h5py.Group):
        return [item_name(file[reference]) for reference in table["group"][:]]
    return [str(name) for name in read_texts(table["group_name"])]  # references are pickled


def read_column(table: Any, name: str) -> TableColumn | None:
    """Return a column of plain values, or None for references and lists."""
    data = table.get(name)
    if not is_array(data) or f"{name}_index" in table:
        return None
    if is_text(data):
        values = read_texts(data)
    elif data.dtype.kind in "iufb" and "elements" not in data.attrs and "table" not in data.attrs:
        values = data[:]
    else:
        return None
    return TableColumn(
        name=name, description=_attribute(data, "description") or name, values=np.asarray(values)
    )


def item_name(group: Any) -> str:
    """Return the name of a group within the one that it is in."""
    return str(group.name).rpartition("/")[2]


def _attribute(item: Any, name: str) -> str | None:
    value = item.attrs.get(name)
    if isinstance(value, bytes):
        value = value.decode()
    return str(value) if value is not None and str(value) else None


def _text(file: Any, place: str) -> str | None:
    texts = _texts(file, place)
    return texts[0] if texts else None


def _texts(file: Any, place: str) -> tuple[str, ...]:
    data = file.get(place)
    if not is_array(data) or not is_text(data):
        return ()
    return tuple(map(str, read_texts(data)))


def _date(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text)


def missing_for_archives(session: Session) -> list[str]:
    """Return the metadata that an archive requires and this session lacks."""
    subject: Mapping[str, Any] = session.subject
    missing = [name for name in ("subject_id", "species", "sex") if not subject.get(name)]
    if not (subject.get("age") or subject.get("date_of_birth")):
        missing.append("age or date_of_birth")
    return missing
