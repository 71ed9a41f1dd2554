"""Open a recording: in a file, in a folder, or streamed from a URL.

Whatever a reader raises becomes a `RecordingError` on one line, with a remedy.
"""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import h5py
import numpy as np
import requests
from spikeinterface.core import BaseRecording
from spikeinterface.core.binaryrecordingextractor import BinaryRecordingExtractor
from spikeinterface.extractors import read_nwb_recording
from spikeinterface.extractors.whitematterrecordingextractor import WhiteMatterRecordingExtractor

from spikeinterface_cloud.errors import CloudJobError, RecordingError, SourceError, TransferError
from spikeinterface_cloud.recording.access import forbidden, permission_error
from spikeinterface_cloud.recording.formats.array_layouts import check_biocam, check_maxwell
from spikeinterface_cloud.recording.formats.hdf5 import (
    check_all_written,
    check_codecs,
    install_maxwell_plugin,
    largest_dataset,
)
from spikeinterface_cloud.recording.formats.hdf5_links import refuse_foreign_links
from spikeinterface_cloud.recording.formats.header_checks import check_headers
from spikeinterface_cloud.recording.formats.ibl import read_ibl
from spikeinterface_cloud.recording.formats.imec import follow_neo_headers, read_unsupported_by_neo
from spikeinterface_cloud.recording.formats.mcs_streams import correct_gains, with_stream
from spikeinterface_cloud.recording.formats.nwb_series import (
    CheckedSeries,
    check_series,
    keep_gains_of_series,
    refuse_lost_depths,
    with_unique_ids,
)
from spikeinterface_cloud.recording.formats.nwb_zarr import find_store
from spikeinterface_cloud.recording.formats.open_ephys_probe import correct_probe
from spikeinterface_cloud.recording.formats.plexon import with_microvolts
from spikeinterface_cloud.recording.formats.readers import Reader, check_reader, likely_data_type
from spikeinterface_cloud.recording.formats.saved_folder import open_saved_folder, refuse_pickles
from spikeinterface_cloud.recording.formats.source_files import (
    check_spikeglx_file_name,
    list_files,
    locate,
)
from spikeinterface_cloud.recording.formats.stream_choice import choose_stream, requested_stream
from spikeinterface_cloud.recording.formats.streams import list_electrical_series, select_stream
from spikeinterface_cloud.recording.formats.zarr_chunks import check_chunks
from spikeinterface_cloud.recording.messages import one_line
from spikeinterface_cloud.recording.probe_file import attach_probe
from spikeinterface_cloud.recording.reader_errors import CHECK_THE_FILE, is_damage, remedy
from spikeinterface_cloud.recording.samples.units import remove_gains_of_no_voltage

logger = logging.getLogger(__name__)

#: how neo warns of the streams of Open Ephys that were not fetched
OTHER_STREAMS = r"For .* the folder continuous/.* is missing"


def open_recording(
    path: Path,
    data_type: str,
    kwargs: Mapping[str, Any],
    probe_file: Path | None = None,
    n_frames: int | None = None,
) -> BaseRecording:
    """Open a file or folder, and attach the probe of `probe_file`.

    Of Zarr, only the chunks of the first `n_frames` may be there, if not all frames are wanted.
    """
    reader = check_reader(data_type, kwargs)
    is_spikeglx = reader.name == "spikeglx"
    with _explain_errors(reader, path):
        location, located = locate(reader, path, kwargs, n_frames)
        if location.is_dir() and reader.name != "nwb":  # whose pickles are not read
            refuse_pickles(location)
        elif h5py.is_hdf5(location):
            located = _check_hdf5(reader, location, located, probe_file is not None)
        recording = read_unsupported_by_neo(location, located) if is_spikeglx else None
        if recording is None:
            located = select_stream(reader, location, located)
            recording = _read(reader, location, located, n_frames, probe_file is not None)
            check_headers(reader, recording, n_frames)
            if is_spikeglx and path.is_file():
                check_spikeglx_file_name(recording, path)
            if is_spikeglx:
                follow_neo_headers(recording)
            if reader.name == "openephys" and probe_file is None:
                correct_probe(recording)
            elif reader.name == "maxwell":
                check_maxwell(recording, probe_file is not None)
    return attach_probe(recording, probe_file) if probe_file is not None else recording


def open_streamed_nwb(
    url: str, kwargs: Mapping[str, Any], has_probe_file: bool = False
) -> BaseRecording:
    """Open an NWB file at `url` without downloading it.

    Messages never contain the query of a signed URL.

    A server that refuses the file raises `SourceError`, one that cannot be reached
    `TransferError`.
    """
    check_reader("nwb", kwargs)
    with _explain_streaming_errors(url):
        streams = list_electrical_series(url, stream_mode="remfile")
        series = choose_stream(streams, requested_stream(kwargs))
        checked = check_series(url, series.identifier, stream_mode="remfile")
        passed = {**kwargs, **checked.kwargs, "electrical_series_path": series.identifier}
        recording = read_nwb_recording(url, stream_mode="remfile", **_without_time_vector(passed))
        _finish_nwb(recording, checked, has_probe_file)
    recording = with_unique_ids(recording, checked.electrode_ids)
    recording.annotate(stream_name=series.identifier)
    return recording


def first_frames(recording: BaseRecording, n_frames: int) -> BaseRecording:
    """Return the first `n_frames` frames of the first segment, or all of a shorter one."""
    first = recording.select_segments([0]) if recording.get_num_segments() > 1 else recording
    n_samples = first.get_num_samples(0)
    if n_frames >= n_samples:
        logger.info("the first segment has only %d frames: all are used", n_samples)
        return first
    return first.frame_slice(start_frame=0, end_frame=n_frames)


def _read(
    reader: Reader,
    location: Path,
    kwargs: dict[str, Any],
    n_frames: int | None,
    has_probe_file: bool,
) -> BaseRecording:
    if reader.name == "binary" and location.is_dir():
        recording = open_saved_folder(location)
    elif reader.name == "cbin_ibl":
        recording = read_ibl(location, kwargs)
    elif reader.name == "whitematter":
        recording = _read_whitematter(location, kwargs)
    elif reader.name == "nwb":
        checked = check_series(location, kwargs["electrical_series_path"])
        passed = _without_time_vector({**kwargs, **checked.kwargs})
        recording = reader.function(file_path=location, **passed)
        _finish_nwb(recording, checked, has_probe_file)
        if location.is_dir():
            _finish_zarr(recording, n_frames)
        recording = with_unique_ids(recording, checked.electrode_ids)
    else:
        passed = _without_time_vector(kwargs)
        recording = reader.function(**{reader.path_parameter: location}, **passed)
    if reader.name == "plexon":
        recording = with_microvolts(recording)
    elif reader.name == "mcsh5":
        correct_gains(recording)
    elif reader.neo_classes:
        remove_gains_of_no_voltage(recording)
    if not isinstance(recording, BaseRecording):
        raise RecordingError(
            f"{location.name} holds a {type(recording).__name__}, not a recording; check DATA_TYPE"
        )
    stream = kwargs.get("electrical_series_path") or getattr(recording, "stream_name", None)
    if stream is not None:
        recording.annotate(stream_name=str(stream))
    return recording


def _read_whitematter(location: Path, kwargs: Mapping[str, Any]) -> BaseRecording:
    """Open a file of White Matter as the binary file it is.

    SpikeInterface's own class cannot be described as one, which sorters and exports ask for.
    """
    layout = WhiteMatterRecordingExtractor
    return BinaryRecordingExtractor(
        **{"gain_to_uV": layout.HEADSTAGE_GAIN_TO_UV, **kwargs},
        file_paths=[location],
        dtype=layout.DTYPE,
        file_offset=layout.FILE_OFFSET,
        time_axis=layout.TIME_AXIS,
        offset_to_uV=layout.OFFSET_TO_UV,
    )


def _finish_nwb(recording: Any, checked: CheckedSeries, has_probe_file: bool) -> None:
    recording._kwargs.update(checked.kwargs)  # with which other processes open the file again
    if not has_probe_file:
        refuse_lost_depths(recording)
    keep_gains_of_series(recording)


def _finish_zarr(recording: Any, n_frames: int | None) -> None:
    """Check the chunks of NWB-Zarr, and make a number of the start, an array of one number."""
    [segment] = recording.segments
    check_chunks(segment.electrical_series_data, n_frames)
    segment._t_start = float(np.ravel(segment._t_start)[0])


def _without_time_vector(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the time vector: SpikeInterface cannot cut it, and the clock reads it anyway."""
    return {name: value for name, value in kwargs.items() if name != "load_time_vector"}


def _check_hdf5(
    reader: Reader, location: Path, kwargs: dict[str, Any], has_probe_file: bool
) -> dict[str, Any]:
    """Check links and codecs, and return `kwargs` without the download of Maxwell's filter."""
    with h5py.File(location) as file:
        refuse_foreign_links(file, location.parent)
        if reader.name == "nwb":  # check_series checks the codecs of the series that is read
            return kwargs
        if reader.name == "maxwell":
            if kwargs.get("install_maxwell_plugin"):
                install_maxwell_plugin()
            kwargs = {**kwargs, "install_maxwell_plugin": False}
        check_codecs(file, location.name, kwargs.get("timeseries_path"))
        if reader.name == "mcsh5":
            kwargs = with_stream(file, kwargs)
        elif reader.name == "biocam":
            check_biocam(file, has_probe_file)
        if (samples := largest_dataset(file)) is not None:
            check_all_written(samples, location.name)
    return kwargs


@contextmanager
def _explain_errors(reader: Reader, path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=OTHER_STREAMS)
            yield
    except CloudJobError:
        raise
    except Exception as error:  # readers raise anything, bare Exception and AssertionError included
        if (refusal := permission_error(error)) is not None:
            raise forbidden("SOURCE_FOLDER", refusal.filename or path) from error
        names = list_files(path) if path.is_dir() else [PurePosixPath(path.name)]
        is_own_format = any(name.name.lower().endswith(reader.extensions) for name in names) or (
            reader.name == "nwb" and find_store(names) is not None
        )
        likely = None if is_own_format else likely_data_type(names)
        raise RecordingError(
            f"{path.name} cannot be read with DATA_TYPE={reader.name}: {one_line(error)}; "
            f"{remedy(error, reader, likely)}"
        ) from error


@contextmanager
def _explain_streaming_errors(url: str) -> Iterator[None]:
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
                f"{shown} cannot be read: {reason}; check that it exists and that you may read it"
            ) from error
        if isinstance(error, requests.RequestException) or type(error) is Exception:
            raise TransferError("stream", shown, "this machine", reason) from error
        advice = CHECK_THE_FILE if is_damage(error) else "check that it is NWB in HDF5"
        raise RecordingError(f"{shown} cannot be read as NWB: {reason}; {advice}") from error
