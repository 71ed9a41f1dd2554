"""The archive of the recording (`ARCHIVE=zarr`): as it was read, compressed without loss.

SpikeInterface writes it, and nothing is said of it before it has been opened by the job's own
reader and compared with the source: every sample, every time, gains, channels and contacts.
"""

import logging
import shutil
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import spikeinterface as si
import zarr
from numcodecs import Blosc, get_codec
from spikeinterface.core.core_tools import check_json
from spikeinterface.core.zarrextractors import ZarrRecordingExtractor

from spikeinterface_cloud.config.locations import ARCHIVE
from spikeinterface_cloud.errors import ArchiveError, CloudJobError, UnavailableError
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.clock.fit import CHUNK_FRAMES
from spikeinterface_cloud.recording.clock.segment_times import times_of_frames
from spikeinterface_cloud.recording.clock.timestamps import Floats
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.messages import one_line
from spikeinterface_cloud.recording.samples.chunks import Chunk, map_all_chunks
from spikeinterface_cloud.results.archive_folder import ArchiveFolder
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.results.run_schema import ArchiveEntry
from spikeinterface_cloud.runtime.disk import ARCHIVE_FACTOR, room_for_results
from spikeinterface_cloud.runtime.host import free_disk_bytes
from spikeinterface_cloud.runtime.logging import format_bytes, step

logger = logging.getLogger(__name__)

#: size of a chunk before it is compressed
CHUNK_BYTES = 16 * 1024 * 1024

#: WavPack, without loss; with more threads, it warns where its library is older than 5.6.4
WAVPACK = {"id": "wavpack", "level": 2, "num_encoding_threads": 1, "num_decoding_threads": 1}


def archive(recording: si.BaseRecording, folder: ArchiveFolder, record: RunRecord) -> None:
    """Write the archive, compare it with the recording and publish it, unless that was done.

    Raises ArchiveError, and removes the archive, if it differs from the recording.
    """
    if folder.earlier is not None:
        logger.info("%s of an earlier attempt is complete", ARCHIVE)
        record.archive = folder.earlier.model_dump()
        return
    with step("archive", record.steps) as archiving:
        archived = folder.find_written()
        if archived is None:
            unfinished = folder.prepare()
            try:
                entry = write_archive(recording, unfinished)
                archived = folder.finish(entry)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
        archiving.size_bytes = archived.archive.size_bytes
    folder.publish(archived)
    record.archive = archived.archive.model_dump()
    logger.info(
        "%s: %s instead of %s (%s), the same in every sample",
        ARCHIVE,
        format_bytes(archived.archive.size_bytes),
        format_bytes(archived.archive.uncompressed_bytes),
        archived.archive.codec,
    )


def write_archive(recording: si.BaseRecording, folder: Path) -> ArchiveEntry:
    """Write a recording to `folder`, which ends in `.zarr`, and compare the two."""
    size_bytes = int(recording.get_total_memory_size())
    free = free_disk_bytes(folder.parent)
    if free < size_bytes * ARCHIVE_FACTOR:
        raise UnavailableError(
            f"{folder.parent}: {format_bytes(free)} free, the archive of the recording "
            f"({format_bytes(size_bytes)}) may take {format_bytes(size_bytes * ARCHIVE_FACTOR)}; "
            "give RESULTS_FOLDER a disk with more space, or leave ARCHIVE out"
        )
    omitted = _make_storable(recording)
    codec = _choose_codec(recording.get_dtype())
    with room_for_results(folder):
        try:
            _write(recording, folder, codec)
        except RuntimeError as error:
            if codec.codec_id != WAVPACK["id"]:
                raise
            logger.warning("WavPack cannot compress the samples: %s", one_line(error))
            codec = _blosc()
            _write(recording, folder, codec)
    compare(recording, folder)
    files = [file for file in folder.rglob("*") if file.is_file()]
    n_stored = sum(array.nbytes_stored for array in _traces(zarr.open_group(folder, mode="r")))
    return ArchiveEntry(
        path=ARCHIVE,
        codec="wavpack" if codec.codec_id == WAVPACK["id"] else "blosc-zstd",
        size_bytes=sum(file.stat().st_size for file in files),
        uncompressed_bytes=size_bytes,
        ratio=round(size_bytes / n_stored, 4),
        n_files=len(files),
        omitted_properties=omitted,
    )


def _choose_codec(dtype: np.dtype[Any]) -> Any:
    """Return WavPack for 16-bit integers, where it is installed, else Blosc's Zstandard."""
    if dtype != np.dtype("<i2"):
        return _blosc()
    try:
        return get_codec(WAVPACK)
    except (ImportError, ValueError):  # the package, or its library, is not installed
        return _blosc()


def _blosc() -> Blosc:
    return Blosc(cname="zstd", clevel=5, shuffle=Blosc.BITSHUFFLE)


def _make_storable(recording: si.BaseRecording) -> list[str]:
    """Turn texts that are Python objects into texts of numpy; return the properties left out."""
    omitted = []
    for name in recording.get_property_keys():
        values = recording.get_property(name)
        if values.dtype.kind != "O":
            continue
        if all(isinstance(value, str) for value in values):
            recording.set_property(name, values.astype("U"))
        else:
            omitted.append(str(name))
    if omitted:
        logger.warning("the archive lacks properties that are Python objects: %s", omitted)
    return omitted


def _write(recording: si.BaseRecording, folder: Path, codec: Any) -> None:
    n_frames = max(recording.get_num_samples(each) for each in range(len(recording.segments)))
    frame_bytes = recording.get_num_channels() * recording.get_dtype().itemsize
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Property .* not saved")
        ZarrRecordingExtractor.write_recording(
            recording,
            folder,
            overwrite=True,
            chunk_size=max(1, min(n_frames, CHUNK_BYTES // frame_bytes)),
            compressor_by_dataset={"traces": codec},
        )
    root = zarr.open_group(folder, mode="r+")
    root.attrs["provenance"] = None  # paths of this machine, or a URL with a signature
    _write_times(recording, root)
    zarr.consolidate_metadata(root.store)


def _write_times(recording: si.BaseRecording, root: zarr.Group) -> None:
    """Write the start of each segment, or the time of each sample where they are not even."""
    rate_hz = float(recording.sampling_frequency)
    starts_s = []
    for number, segment in enumerate(recording.segments):
        name = f"times_seg{number}"
        if name in root:
            del root[name]
        n_frames = segment.get_num_samples()
        read = times_of_frames(segment, rate_hz)
        begin_s = float(read(0, 1)[0])
        if all(
            _same_times(read(*frames), begin_s + np.arange(*frames) / rate_hz)
            for frames in _ranges(n_frames)
        ):
            starts_s.append(begin_s)
            continue
        starts_s.append(np.nan)
        array = root.create_dataset(
            name,
            shape=(n_frames,),
            chunks=(min(n_frames, CHUNK_FRAMES),),
            dtype="float64",
            compressor=_blosc(),
        )
        for start, stop in _ranges(n_frames):
            array[start:stop] = read(start, stop)
    root.array("t_starts", np.array(starts_s), compressor=None, overwrite=True)


def _ranges(n_frames: int) -> list[tuple[int, int]]:
    starts = range(0, n_frames, CHUNK_FRAMES)
    return [(start, min(start + CHUNK_FRAMES, n_frames)) for start in starts]


def _same_times(times_s: Floats, others_s: Floats) -> bool:
    """Return whether times are the same but for the rounding of numbers."""
    return bool(np.all(np.abs(times_s - others_s) <= 4 * np.spacing(np.abs(others_s) + 1.0)))


def _traces(root: zarr.Group) -> list[zarr.Array]:
    return [array for name, array in root.arrays() if name.startswith("traces_seg")]


def compare(recording: si.BaseRecording, folder: Path) -> None:
    """Raise ArchiveError unless the archive holds what the recording does."""
    try:
        archived = open_recording(folder, "zarr", {})
        difference = _difference(recording, archived)
    except CloudJobError as error:
        difference = str(error)
    if difference is None and not _have_same_samples(recording, archived):
        difference = "its samples are not those of the recording"
    if difference is not None:
        raise ArchiveError(
            f"the archive differs from the recording ({difference}) and is deleted; run the job "
            "again, on another machine if it happens twice, or leave ARCHIVE out"
        )


def _difference(recording: si.BaseRecording, archived: si.BaseRecording) -> str | None:
    """Return what is not the same, other than samples."""
    for what in ("get_channel_ids", "get_sampling_frequency", "get_dtype", "get_num_segments"):
        if not np.array_equal(getattr(recording, what)(), getattr(archived, what)()):
            return f"{what.removeprefix('get_').replace('_', ' ')}"
    for name in recording.get_property_keys():
        values, others = recording.get_property(name), archived.get_property(name)
        if values.dtype.kind != "O" and not _are_equal(values, others):
            return f"the property {name}"
    if _probes(recording) != _probes(archived):
        return "the contacts"
    for number, segment in enumerate(recording.segments):
        if segment.get_num_samples() != archived.get_num_samples(number):
            return f"the length of segment {number}"
        read = times_of_frames(segment, float(recording.sampling_frequency))
        for start, stop in _ranges(segment.get_num_samples()):
            if not _same_times(archived.segments[number].get_times(start, stop), read(start, stop)):
                return f"the times of segment {number}"
    if not np.allclose(clock_of(recording).begin_s, clock_of(archived).begin_s, rtol=0, atol=1e-9):
        return "the start on its clock"
    return None


def _are_equal(values: Any, others: Any) -> bool:
    if others is None or np.shape(values) != np.shape(others):
        return False
    is_float = values.dtype.kind in "fc"
    return bool(np.array_equal(values, others, equal_nan=is_float))


def _probes(recording: si.BaseRecording) -> Any:
    if not recording.has_probe():
        return None
    return check_json(recording.get_probegroup().to_dict(array_as_list=True))


def _have_same_samples(recording: si.BaseRecording, archived: si.BaseRecording) -> bool:
    n_jobs = si.get_global_job_kwargs()["n_jobs"]
    are_same = partial(_is_same, archived=archived)
    return all(map_all_chunks(recording, are_same, "differences from the archive", n_jobs))


def _is_same(chunk: Chunk, archived: si.BaseRecording) -> bool:
    """Return whether a chunk is the same in the archive, bit by bit."""
    stop = chunk.start_frame + len(chunk.traces)
    try:
        traces = archived.get_traces(
            segment_index=chunk.segment, start_frame=chunk.start_frame, end_frame=stop
        )
    except Exception:  # codecs raise anything where a chunk is damaged
        return False
    if traces.shape != chunk.traces.shape:
        return False
    return bool(traces.tobytes() == chunk.traces.tobytes())
