"""Folders that SpikeInterface 0.95 to 0.97 saved: `spikeinterface.load` opens them, and imports
whatever they name; here nothing is imported."""

import json
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

#: what describes the traces, the newest first
DESCRIPTIONS = ("binary.json", "si_folder.json", "cached.json")


def description_of(folder: Path) -> Path | None:
    """The file that describes the traces in a saved folder; None where it is no such folder."""
    return next((folder / name for name in DESCRIPTIONS if (folder / name).is_file()), None)


def saved_folders(path: Path) -> list[Path]:
    """The folders at or below `path` that SpikeInterface saved as binary."""
    for name in DESCRIPTIONS:  # a sorting that was saved has one of the older names as well
        if files := sorted(path.rglob(name)):
            return [file.parent for file in files]
    return []


def open_saved_folder(folder: Path) -> BaseRecording:
    """Open a folder of any version; its description has been checked."""
    description = description_of(folder)
    assert description is not None
    described = json.loads(description.read_text())
    if description.name == "binary.json" and "num_chan" not in described.get("kwargs", {}):
        return BinaryFolderRecording(folder)
    return _open_old(folder, described)


def _open_old(folder: Path, described: dict[str, Any]) -> BaseRecording:
    """The number of channels was called `num_chan`, and the probe lay in probe.json."""
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
        times = folder / f"times_cached_seg{number}.npy"
        if times.is_file():
            segment.time_vector = np.load(times, mmap_mode="r", allow_pickle=False)
    return recording
