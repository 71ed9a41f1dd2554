"""Open a recording: in a file, in a folder, or streamed from a URL.

What a reader cannot make sense of leaves here as a `RecordingError` of one line.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import h5py
import requests
from spikeinterface.core import BaseRecording
from spikeinterface.extractors import read_nwb_recording

from spikeinterface_cloud.errors import CloudJobError, RecordingError, SourceError, TransferError
from spikeinterface_cloud.recording.advice import (
    CHECK_THE_FILE,
    is_damage,
    one_line,
    remedy,
)
from spikeinterface_cloud.recording.formats.files import (
    check_complete,
    check_named,
    refuse_foreign_class,
    refuse_foreign_files,
    refuse_pickles,
)
from spikeinterface_cloud.recording.formats.hdf5_codecs import check_codecs, install_maxwell_plugin
from spikeinterface_cloud.recording.formats.hdf5_links import refuse_foreign_links
from spikeinterface_cloud.recording.formats.imec import follow_neo_headers, read_beyond_neo
from spikeinterface_cloud.recording.formats.nwb_series import check_series, with_unique_ids
from spikeinterface_cloud.recording.formats.readers import Reader, check_reader, likely_data_type
from spikeinterface_cloud.recording.formats.saved_folder import open_saved_folder
from spikeinterface_cloud.recording.formats.source_files import list_files, locate
from spikeinterface_cloud.recording.formats.streams import (
    CHOOSING,
    choose_stream,
    list_electrical_series,
    select_stream,
)
from spikeinterface_cloud.recording.probe_file import attach_probe

logger = logging.getLogger(__name__)


def open_recording(
    path: Path, data_type: str, kwargs: Mapping[str, Any], probe_file: Path | None = None
) -> BaseRecording:
    """Open what was fetched to `path` (a file or a folder), and attach the probe of `probe_file`.

    Raises `SettingsError` for a reader, parameter or stream that is not there or has to be
    chosen, and `RecordingError` when the data cannot be read as a recording.
    """
    reader = check_reader(data_type, kwargs)
    with _reading(reader, path):
        location, asked = locate(reader, path, kwargs)
        if location.is_dir():
            refuse_pickles(location)
        elif h5py.is_hdf5(location):
            _check_hdf5(reader, location, asked)
        recording = read_beyond_neo(location, asked) if reader.name == "spikeglx" else None
        if recording is None:
            recording = _read(reader, location, select_stream(reader, location, asked))
            check_complete(reader, recording)
            if path.is_file():
                check_named(reader, recording, path)
            if reader.name == "spikeglx":
                follow_neo_headers(recording)
    return attach_probe(recording, probe_file) if probe_file is not None else recording


def open_streamed_nwb(url: str, kwargs: Mapping[str, Any]) -> BaseRecording:
    """Open an NWB file at `url` without downloading it.

    Raises what `open_recording` does, `SourceError` when the server refuses the file and
    `TransferError` when it cannot be reached. The query of a signed URL is never shown.
    """
    check_reader("nwb", kwargs)
    asked = {name: kwargs[name] for name in CHOOSING if kwargs.get(name) is not None}
    with _streaming(url):
        series = choose_stream(list_electrical_series(url, stream_mode="remfile"), asked)
        layout = check_series(url, series.identifier, stream_mode="remfile")
        passed = {**kwargs, "electrical_series_path": series.identifier}
        recording = read_nwb_recording(url, stream_mode="remfile", **_without_time_vector(passed))
    recording = with_unique_ids(recording, layout)
    recording.annotate(stream_name=series.identifier)
    return recording


def first_frames(recording: BaseRecording, n_frames: int) -> BaseRecording:
    """The first `n_frames` frames of the first segment, or all of it when it is shorter."""
    first = recording.select_segments([0]) if recording.get_num_segments() > 1 else recording
    n_samples = first.get_num_samples(0)
    if n_frames >= n_samples:
        logger.info("the first segment has %d frames, fewer than asked: all are used", n_samples)
        return first
    return first.frame_slice(start_frame=0, end_frame=n_frames)


def _read(reader: Reader, location: Path, kwargs: dict[str, Any]) -> BaseRecording:
    if reader.name == "binary" and location.is_dir():
        refuse_foreign_class(location)
        recording = open_saved_folder(location)
        refuse_foreign_files(recording, location)
    elif reader.name == "nwb":
        layout = check_series(location, kwargs["electrical_series_path"])
        passed = _without_time_vector(kwargs)
        recording = with_unique_ids(reader.function(file_path=location, **passed), layout)
    else:
        passed = _without_time_vector(kwargs)
        recording = reader.function(**{reader.path_parameter: location}, **passed)
    if not isinstance(recording, BaseRecording):
        raise RecordingError(f"{location.name} holds a {type(recording).__name__}, no recording")
    stream = kwargs.get("electrical_series_path") or getattr(recording, "stream_name", None)
    if stream is not None:
        recording.annotate(stream_name=str(stream))
    return recording


def _without_time_vector(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The timestamps of NWB are followed anyhow, and SpikeInterface cannot cut a recording that
    has them as its time vector."""
    return {name: value for name, value in kwargs.items() if name != "load_time_vector"}


def _check_hdf5(reader: Reader, location: Path, kwargs: dict[str, Any]) -> None:
    """Refuse what a file keeps elsewhere, and codecs that are not here; of NWB, where a file often
    has other things in it, only the series that is read is looked at, by `check_series`."""
    with h5py.File(location) as file:
        refuse_foreign_links(file, location.parent)
        if reader.name == "nwb":
            return
        if reader.name == "maxwell":
            install_maxwell_plugin(asked=bool(kwargs.pop("install_maxwell_plugin", False)))
            kwargs["install_maxwell_plugin"] = False
        check_codecs(file, location.name, kwargs.get("timeseries_path"))


@contextmanager
def _reading(reader: Reader, path: Path) -> Iterator[None]:
    """Turn what a reader raises into one line that says what to do."""
    try:
        yield
    except CloudJobError:
        raise
    except Exception as error:  # readers raise anything, bare Exception and AssertionError included
        names = list_files(path) if path.is_dir() else [PurePosixPath(path.name)]
        is_read_here = any(name.name.lower().endswith(reader.extensions) for name in names)
        likely = None if is_read_here else likely_data_type(names)
        raise RecordingError(
            f"{path.name} cannot be read with DATA_TYPE={reader.name}: {one_line(error)}; "
            f"{remedy(error, reader, likely)}"
        ) from error


@contextmanager
def _streaming(url: str) -> Iterator[None]:
    """Turn what reading over HTTP raises into one line, without the signature in the URL."""
    parts = urlsplit(url)
    shown = parts._replace(query="", fragment="").geturl()
    try:
        yield
    except CloudJobError:
        raise
    except Exception as error:  # remfile raises bare Exception, h5py OSError, requests its own
        reason = one_line(error, hide=parts.query)
        if re.search(r"\b(401|403|404|410)\b", reason):
            raise SourceError(
                f"{shown} cannot be read: {reason}; check that it exists and may be read"
            ) from error
        if isinstance(error, requests.RequestException) or type(error) is Exception:
            raise TransferError("stream", shown, "this machine", reason) from error
        advice = CHECK_THE_FILE if is_damage(error) else "check that it is NWB in HDF5"
        raise RecordingError(f"{shown} cannot be read as NWB: {reason}; {advice}") from error
