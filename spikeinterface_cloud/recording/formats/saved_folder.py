"""Folders that SpikeInterface saved, opened without importing or running what they contain.

`spikeinterface.load` imports and calls whatever class a JSON names, and arrays of Python objects
are unpickled, which can run any program. The files of SpikeInterface 0.95 to 0.97 are read too.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from probeinterface import read_probeinterface
from spikeinterface.core import BaseRecording
from spikeinterface.core.binaryfolder import BinaryFolderRecording
from spikeinterface.core.binaryrecordingextractor import BinaryRecordingExtractor
from spikeinterface.core.core_tools import (
    load_annotations_from_folder,
    load_properties_from_folder,
    make_paths_absolute,
)

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.formats.saved_schema import (
    BinaryDescription,
    ProbeGroupDescription,
    check_json,
)
from spikeinterface_cloud.recording.formats.zarr_metadata import refuse_pickled

#: files that describe the traces, the newest version first
DESCRIPTIONS = ("binary.json", "si_folder.json", "cached.json")

#: of a segment, in folders of versions that named no file of times in the description
OLD_TIMES = "times_cached_seg{}.npy"


def refuse_pickles(folder: Path) -> None:
    """Raise `RecordingError` if opening a saved folder would load a pickle."""
    for file in folder.glob("properties/*.npy"):
        try:
            np.load(file, allow_pickle=False)
        except ValueError as error:
            raise RecordingError(
                f"{file.name} among the properties of {folder.name} holds pickled Python objects, "
                "which could run any program when loaded; save the recording without them"
            ) from error
    for file in [*folder.glob(".zmetadata"), *folder.rglob(".zarray")]:
        refuse_pickled(file.relative_to(folder.parent), json.loads(file.read_text()))


def saved_folders(path: Path) -> list[Path]:
    """Return the folders at or below `path` that SpikeInterface saved as binary."""
    for name in DESCRIPTIONS:  # a saved sorting has one of the older names too
        if files := sorted(path.rglob(name)):
            return [file.parent for file in files]
    return []


def open_saved_folder(folder: Path) -> BaseRecording:
    """Open a binary folder of any version.

    Classes other than SpikeInterface's, and traces outside the folder, are refused.
    """
    description = next(folder / name for name in DESCRIPTIONS if (folder / name).is_file())
    described = json.loads(description.read_text())
    name = str(described.get("class") if isinstance(described, dict) else described)
    if not re.fullmatch(r"spikeinterface\.[\w.]*\bBinaryRecordingExtractor", name):
        raise RecordingError(
            f"{folder.name}/{description.name} names the class {name[:100]!r}, which is no "
            "recording of SpikeInterface; save the recording again with recording.save(folder=...)"
        )
    check_json(description, BinaryDescription)
    for file in (folder / "probegroup.json", folder / "probe.json"):
        if file.is_file():
            check_json(file, ProbeGroupDescription)
    if description.name == "binary.json" and "num_chan" not in described.get("kwargs", {}):
        recording = BinaryFolderRecording(folder)
    else:
        recording = _open_old(folder, described)
    files = [Path(file) for file in recording.get_binary_description()["file_paths"]]
    for number, segment in enumerate(recording.segments):
        files += _time_files(folder, number, segment)
    for file in files:
        if not file.resolve().is_relative_to(folder.resolve()):
            raise RecordingError(
                f"{folder.name}/{description.name} points to {file}, which is not part of the "
                "source; save the recording with its traces: recording.save(folder=...)"
            )
    return recording


def _time_files(folder: Path, number: int, segment: Any) -> list[Path]:
    """Return the files of the times of a segment, of which SpikeInterface takes the last one.

    A file with more or fewer times than there are samples is refused.
    """
    written = segment.file_timestamps_path
    files = [] if written is None else [Path(written)]
    n_times = [file.stat().st_size / np.dtype("float64").itemsize for file in files]
    array = folder / OLD_TIMES.format(number)
    if array.is_file():
        files.append(array)
        n_times.append(np.load(array, mmap_mode="r", allow_pickle=False).size)
    n_samples = segment.get_num_samples()
    if files and n_times[-1] != n_samples:
        raise RecordingError(
            f"{files[-1].name} has {n_times[-1]:.0f} times, and the segment {n_samples} samples; "
            "save the recording again with recording.save(folder=...)"
        )
    return files


def _open_old(folder: Path, described: dict[str, Any]) -> BaseRecording:
    """Open a folder with `num_chan` for the number of channels, and its probe in probe.json."""
    kwargs = dict(make_paths_absolute(described, folder)["kwargs"])
    if "num_chan" in kwargs:
        kwargs["num_channels"] = kwargs.pop("num_chan")
    recording = BinaryRecordingExtractor(**kwargs)
    load_properties_from_folder(folder / "properties", recording)
    load_annotations_from_folder(folder, recording)
    probe_file = folder / "probe.json"
    if probe_file.is_file():
        probes = read_probeinterface(probe_file)
        order = np.argsort(probes.to_numpy(complete=True)["device_channel_indices"])
        groups = recording.get_property("group")
        wired = probes.get_slice(order)
        wired.set_global_device_channel_indices(np.arange(len(order)))
        recording.set_probegroup(wired, check_overlap=False)
        if groups is not None:
            recording.set_property("group", groups)
    for number, segment in enumerate(recording.segments):
        times = folder / OLD_TIMES.format(number)
        if times.is_file():
            segment._time_vector = np.load(times, mmap_mode="r", allow_pickle=False)
    return recording
