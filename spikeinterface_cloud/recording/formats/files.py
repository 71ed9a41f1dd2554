"""The files of a recording on this machine: whether they are whole, and safe.

A reader of a raw format believes whatever length a file has, and two of SpikeInterface's own
formats can carry pickles, which run as a program when they are loaded. Both are looked at here.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.durations import (
    check_cbin_duration,
    check_neuralynx_rate,
    check_open_ephys_rate,
    check_spikeglx_duration,
    check_whole_samples,
)
from spikeinterface_cloud.recording.formats.intan_session import check_session
from spikeinterface_cloud.recording.formats.readers import Reader
from spikeinterface_cloud.recording.formats.saved_folder import description_of
from spikeinterface_cloud.runtime.logging import format_bytes


def refuse_pickles(path: Path) -> None:
    """Raise `RecordingError` if a folder that SpikeInterface saved would load a pickle."""
    if path.is_file():
        return
    for file in path.glob("properties/*.npy"):
        try:
            np.load(file, allow_pickle=False)
        except ValueError as error:
            raise RecordingError(
                f"{file.name} among the properties of {path.name} holds pickled Python objects, "
                "which could run any program when loaded; save the recording without them"
            ) from error
    for file in [*path.glob(".zmetadata"), *path.rglob(".zarray")]:
        if _names_pickle(json.loads(file.read_text())):
            raise RecordingError(
                f"{file.relative_to(path.parent)} declares pickled Python objects, which could "
                "run any program when loaded; save the recording without them (NWB: as HDF5)"
            )


def refuse_foreign_class(folder: Path) -> None:
    """Raise `RecordingError` if a saved binary folder names another class than SpikeInterface's.

    The reader looks at the end of the name alone, and SpikeInterface's own `load` imports whatever
    a JSON names, and calls it.
    """
    description = description_of(folder)
    assert description is not None
    described = json.loads(description.read_text())
    name = str(described.get("class") if isinstance(described, dict) else described)
    if not re.fullmatch(r"spikeinterface\.[\w.]*\bBinaryRecordingExtractor", name):
        raise RecordingError(
            f"{folder.name}/{description.name} names the class {name[:100]!r}, which is no "
            "recording of SpikeInterface; save the recording again with recording.save(folder=...)"
        )


def refuse_foreign_files(recording: BaseRecording, folder: Path) -> None:
    """Raise `RecordingError` if a saved binary folder points to files outside itself."""
    for file in recording.get_binary_description()["file_paths"]:
        if not Path(file).resolve().is_relative_to(folder.resolve()):
            raise RecordingError(
                f"{folder.name}/binary.json points to {file}, which is not part of the source; "
                "save the recording with its traces: recording.save(folder=...)"
            )


def check_complete(reader: Reader, recording: Any) -> None:
    """Raise `RecordingError` if a file is shorter than its own metadata say, or of another rate.

    The readers do not: they take the length of the file for the length of the recording. Raises
    `SettingsError` when files are joined that do not continue each other.
    """
    match reader.name:
        case "spikeglx":
            _check_spikeglx(recording)
        case "openephys":
            _check_open_ephys(recording)
        case "cbin_ibl":
            check_cbin_duration(Path(recording._kwargs["folder_path"]), recording)
        case "zarr":
            _check_zarr(recording)
        case "neuroscope":
            _check_neuroscope(recording)
        case "neuralynx":
            folder = Path(recording._kwargs["folder_path"])
            check_neuralynx_rate(folder, float(recording.sampling_frequency))
        case "binary":
            _check_raw(recording.get_binary_description())
        case "split_intan_files":
            check_session(recording, recording._kwargs["mode"])


def refuse_truncated(file: Path, meta: Mapping[str, str], n_channels: int) -> None:
    """Raise `RecordingError` if a SpikeGLX binary file is shorter than its meta file says, or the
    meta file's own size, rate and duration contradict each other."""
    if "fileSizeBytes" not in meta:
        return
    size, expected = file.stat().st_size, int(meta["fileSizeBytes"])
    if size < expected or size % (2 * n_channels):
        raise RecordingError(
            f"{file.name} is truncated: it has {format_bytes(size)} ({size} bytes) where its "
            f"meta file says {format_bytes(expected)} ({expected} bytes, {n_channels} channels); "
            "copy it again from the acquisition machine, or correct fileSizeBytes and fileTimeSecs "
            "in the meta file if it was cut on purpose"
        )
    check_spikeglx_duration(file, meta, n_channels)


def check_named(reader: Reader, recording: Any, file: Path) -> None:
    """Raise `RecordingError` if what was opened is not the SpikeGLX `file` named as the source.

    Its reader goes by the meta files, which tell another stream than the name of a renamed file.
    """
    if reader.name != "spikeglx":
        return
    stream = str(recording.stream_id)
    opened = {
        Path(info["bin_file"]).name
        for info in recording.neo_reader.signals_info_list
        if info["stream_name"] == stream
    }
    if opened != {file.with_suffix(".bin").name}:
        raise RecordingError(
            f"{file.name} was named as the source, and {', '.join(sorted(opened))} is what the "
            f"meta files tell to be {stream}; give the files their names of SpikeGLX again, or "
            "put the ones to sort in a folder of their own"
        )


def _names_pickle(metadata: object) -> bool:
    if isinstance(metadata, dict):
        if metadata.get("id") == "pickle":
            return True
        return any(_names_pickle(value) for value in metadata.values())
    return isinstance(metadata, list) and any(_names_pickle(value) for value in metadata)


def _check_spikeglx(recording: Any) -> None:
    stream = str(recording.stream_id)
    for info in recording.neo_reader.signals_info_list:
        if info["stream_name"] == stream:
            refuse_truncated(Path(info["bin_file"]), info["meta"], info["num_chan"])


def _check_neuroscope(recording: Any) -> None:
    reader = recording.neo_reader
    frame_bytes = 2 * recording.get_num_channels()
    check_whole_samples(Path(reader.data_file_path), frame_bytes, Path(reader.xml_file_path).name)


def _check_raw(described: Mapping[str, Any]) -> None:
    frame_bytes = np.dtype(described["dtype"]).itemsize * described["num_channels"]
    said = f"{described['num_channels']} channels of {np.dtype(described['dtype'])}"
    for file in described["file_paths"]:
        check_whole_samples(Path(file), frame_bytes, said, described["file_offset"])


def _check_open_ephys(recording: Any) -> None:
    for segment, folder in enumerate(getattr(recording, "_stream_folders", ())):
        check_open_ephys_rate(Path(folder), float(recording.sampling_frequency))
        for name in ("sample_numbers.npy", "timestamps.npy"):
            file = Path(folder) / name
            if not file.is_file():
                continue
            expected = np.load(file, mmap_mode="r", allow_pickle=False).shape[0]
            n_samples = recording.get_num_samples(segment)
            if n_samples < expected:
                raise RecordingError(
                    f"{folder.name}/continuous.dat is truncated: it has {n_samples} samples "
                    f"where {name} has {expected}; copy it again from the acquisition machine"
                )
            break


def _check_zarr(recording: Any) -> None:
    for segment in range(recording.get_num_segments()):
        array = recording._root[f"traces_seg{segment}"]
        if array.nchunks_initialized < array.nchunks:
            raise RecordingError(
                f"{array.nchunks - array.nchunks_initialized} of {array.nchunks} chunks of "
                f"traces_seg{segment} are missing, and would be read as zeros; copy it again"
            )
