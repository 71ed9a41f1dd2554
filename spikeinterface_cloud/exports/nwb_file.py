"""A new NWB file with the session around the units, written with pynwb itself."""

import uuid
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
from hdmf.common import VectorData
from pynwb import NWBHDF5IO, NWBFile
from pynwb.device import Device, DeviceModel
from pynwb.ecephys import ElectrodeGroup, ElectrodesTable
from pynwb.file import Subject

from spikeinterface_cloud.exports.nwb_session import DeviceFacts, ElectrodeFacts, Session

#: columns that the schema demands as 32-bit floats
FLOATS = frozenset({"x", "y", "z", "imp", "rel_x", "rel_y", "rel_z"})


def make_nwbfile(session: Session, generated_by: Mapping[str, str]) -> NWBFile:
    """Return the NWB file without units, in memory; `generated_by` has versions of programs."""
    nwbfile = NWBFile(
        identifier=str(uuid.uuid4()),
        session_description=session.description,
        session_start_time=_with_zone(session.start),
        timestamps_reference_time=_with_zone(session.timestamps_reference or session.start),
        subject=_subject(session.subject) if session.subject else None,
        was_generated_by=[list(each) for each in generated_by.items()],
        **session.fields,
    )
    devices = {each.name: _add_device(nwbfile, each) for each in session.devices}
    for group in session.groups:
        nwbfile.create_electrode_group(
            name=group.name,
            description=group.description,
            location=group.location,
            device=devices[group.device],
        )
    nwbfile.electrodes = _electrodes_table(session.electrodes, nwbfile.electrode_groups)
    return nwbfile


def write_nwbfile(
    nwbfile: NWBFile, session: Session, file: Path, fill: Callable[[Path], None] | None = None
) -> None:
    """Write the file of this session, complete or not at all.

    It is made in memory, as HDF5 crashes when it closes a file on a full disk. What is too large
    for memory is added by `fill`, which is given the unfinished file.
    """
    content = file_content(nwbfile, session)
    unfinished = file.with_name(f".{file.stem}.part.nwb")
    try:
        unfinished.write_bytes(content)
        if fill is not None:
            fill(unfinished)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def file_content(nwbfile: NWBFile, session: Session) -> bytes:
    """Return the content of the file of this session.

    Dates without a time zone stay without one, where pynwb would add that of the machine.
    """
    with h5py.File("units.nwb", "w", driver="core", backing_store=False) as image:
        NWBHDF5IO(file=image, mode="w").write(nwbfile)
        for place, date in session.dates_without_zone.items():
            image[place][()] = date.isoformat()
        image.flush()
        content: bytes = image.id.get_file_image()
    return content


def _subject(known: Mapping[str, Any]) -> Subject:
    known = dict(known)
    if "date_of_birth" in known:
        known["date_of_birth"] = _with_zone(known["date_of_birth"])
    return Subject(**known)


def _with_zone(date: datetime) -> datetime:
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _add_device(nwbfile: NWBFile, facts: DeviceFacts) -> Device:
    model = None
    if facts.model is not None:
        model = nwbfile.device_models.get(facts.model["name"])
        if model is None:
            model = DeviceModel(**facts.model)
            nwbfile.add_device_model(model)
    with warnings.catch_warnings():  # fields of older files are copied to where they were
        warnings.filterwarnings("ignore", "The '.*' field is deprecated", DeprecationWarning)
        device = Device(name=facts.name, model=model, **facts.fields)
    return nwbfile.add_device(device) or device


def _electrodes_table(
    facts: ElectrodeFacts, groups: Mapping[str, ElectrodeGroup]
) -> ElectrodesTable:
    columns = [
        VectorData(
            name=column.name,
            description=column.description,
            data=column.values.astype("float32") if column.name in FLOATS else column.values,
        )
        for column in facts.columns
    ]
    columns += [
        VectorData(
            name="group",
            description="the group of electrodes that this one is in",
            data=[groups[name] for name in facts.groups],
        ),
        VectorData(
            name="group_name",
            description="the name of that group",
            data=list(facts.groups),
        ),
    ]
    return ElectrodesTable(
        id=list(facts.ids), columns=columns, colnames=[column.name for column in columns]
    )
