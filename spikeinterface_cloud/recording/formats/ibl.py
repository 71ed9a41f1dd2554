"""The AP band of IBL's compressed SpikeGLX: `.cbin`, `.ch` and `.meta` of the same recording.

Channel ids, gains, contacts and sample shifts are those of the uncompressed file.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.formats.imec import ImecHeader, ap_channels, read_header
from spikeinterface_cloud.recording.formats.mtscomp_recording import (
    Index,
    MtscompRecording,
    check_samples,
    read_index,
)
from spikeinterface_cloud.recording.formats.rates import rates_differ
from spikeinterface_cloud.recording.formats.spikeglx import ibl_files, parse_name, without_uuid
from spikeinterface_cloud.recording.messages import add_note

TOGETHER = "put the .cbin, .ch and .meta of one recording into the folder"


def read_ibl(folder: Path, kwargs: Mapping[str, object]) -> BaseRecording:
    """Read the one AP band in a folder."""
    present = sorted(file for file in folder.rglob("*") if file.is_file())
    names = [PurePosixPath(file.relative_to(folder).as_posix()) for file in present]
    samples, index_file, meta_file = (folder / name for name in ibl_files(names, kwargs))
    header, index = read_header(meta_file), read_index(index_file)
    _check_header(header, index_file, index)
    check_samples(samples, index_file, index)
    stream = _stream(PurePosixPath(samples.name), header.meta)
    rate_hz = float(header.meta["imSampRate"])
    columns = MtscompRecording(
        file_path=str(samples.absolute()),
        index_path=str(index_file.absolute()),
        meta_path=str(meta_file.absolute()),
        channel_ids=[f"{stream}#{name}" for name in header.channel_names],
        sampling_frequency=rate_hz,
        t_start=header.first_sample / rate_hz,
    )
    recording = ap_channels(columns, [header])
    recording.annotate(stream_name=stream)
    if index.sha1_compressed is None:
        add_note(recording, f"{index_file.name} is of an excerpt, and has no SHA-1 to compare with")
    return recording


def _stream(file: PurePosixPath, meta: Mapping[str, str]) -> str:
    """Return the stream that the name says, or the name that SpikeGLX gave the file."""
    first_name = PurePosixPath(meta.get("fileName", "").replace("\\", "/"))
    for name in (without_uuid(file), first_name):
        if (parsed := parse_name(name)) is not None:
            return parsed.stream
    return "imec.ap"


def _check_header(header: ImecHeader, index_file: Path, index: Index) -> None:
    """Compare the index of mtscomp with the header of SpikeGLX."""
    meta, names = header.meta, f"{index_file.name} and {header.file.name}"
    if index.n_channels != header.n_saved:
        raise RecordingError(
            f"{names} are not of the same recording: the one has {index.n_channels} channels, the "
            f"other {header.n_saved}; {TOGETHER}"
        )
    rate_hz = float(meta["imSampRate"])
    if rates_differ(index.sample_rate, rate_hz):
        raise RecordingError(
            f"{index_file.name} says that it was sampled at {index.sample_rate:g} Hz, and its meta "
            f"file says {rate_hz:g} Hz; {TOGETHER}"
        )
    if index.sha1_compressed is None:  # an excerpt, with the header of the whole
        return
    n_bytes = int(meta.get("fileSizeBytes", 0))
    if n_bytes and n_bytes != 2 * index.n_channels * index.n_samples:
        raise RecordingError(
            f"{names} are not of the same recording: the one has {index.n_samples} samples, and "
            f"fileSizeBytes in the other implies {n_bytes / (2 * index.n_channels):.10g}; "
            f"{TOGETHER}, or correct fileSizeBytes and fileTimeSecs if it was cut on purpose"
        )
    if _sha1_differs(header, index):
        raise RecordingError(
            f"{names} are not of the same recording: they name different SHA-1 of the "
            f"uncompressed samples; {TOGETHER}, or remove fileSHA1 from the .meta if the samples "
            "were changed on purpose"
        )


def _sha1_differs(header: ImecHeader, index: Index) -> bool:
    """Return whether header and index name different uncompressed files."""
    digest = header.meta.get("fileSHA1", "").lower()
    if not re.fullmatch("[0-9a-f]{40}", digest) or index.sha1_uncompressed is None:
        return False
    # where IBL split the shanks of a probe, the header keeps the SHA-1 of the whole
    return "original_meta" not in header.meta and digest != index.sha1_uncompressed.lower()
