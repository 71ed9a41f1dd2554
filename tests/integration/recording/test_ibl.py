"""IBL's compressed recordings, by mtscomp itself, compared with the uncompressed ones.

Names are those of IBL's public bucket: each file has a UUID of its own.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from uuid import UUID, uuid5

import mtscomp
import numpy as np
import pandas as pd
import pytest
from spikeinterface.core import BaseRecording
from spikeinterface.preprocessing import phase_shift

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.readers import likely_data_type
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.messages import opening_notes
from spikeinterface_cloud.recording.source import fetch_source
from spikeinterface_cloud.recording.summary import summarize
from tests.support.servers import S3Server
from tests.support.sorted_results import upload_folder
from tests.support.sources import find, refusal
from tests.support.spikeglx_headers import (
    Header,
    header_names,
    read_header,
    samples,
    write_with_header,
)

pytestmark = pytest.mark.integration

NP1 = "Noise_g0_t0.imec0.ap.meta"

#: of three chunks and a bit
N_SAMPLES, CHUNK_S = 400, 0.004

ALF = "_spikeglx_ephysData_g0_t0"


def write(folder: Path, header: Header) -> Path:
    """Write an uncompressed run with its own SHA-1 in the header, as SpikeGLX does; the .bin."""
    traces = samples(header, N_SAMPLES)
    digest = hashlib.sha1(traces.tobytes(), usedforsecurity=False).hexdigest().upper()
    return write_with_header(folder, header, traces, stem=ALF, changes={"fileSHA1": digest})


def compress(file: Path, header: Header, folder: Path, *, with_uuid: bool = True) -> Path:
    """Compress a SpikeGLX file as IBL does, and give it the names of its bucket; the .cbin."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {end: folder / file.with_suffix(f".{end}").name for end in ("cbin", "ch", "meta")}
    if with_uuid:
        for end, path in parts.items():
            parts[end] = path.with_suffix(f".{uuid5(UUID(int=0), path.name)}.{end}")
    mtscomp.compress(
        file,
        parts["cbin"],
        parts["ch"],
        sample_rate=float(header["imSampRate"]),
        n_channels=header.n_saved,
        dtype=np.int16,
        chunk_duration=CHUNK_S,
        check_after_compress=False,
        n_threads=1,
    )
    shutil.copy(file.with_suffix(".meta"), parts["meta"])
    return parts["cbin"]


@pytest.fixture
def cbin(tmp_path: Path) -> Path:
    """The .cbin of a compressed recording, in a folder with its .ch and .meta."""
    header = read_header(NP1)
    file = write(tmp_path / "raw", header)
    return compress(file, header, tmp_path / "probe00", with_uuid=False)


def assert_identical(
    recording: BaseRecording, expected: BaseRecording, *, is_whole: bool = True
) -> None:
    """Compare all that a job uses; of the whole recording, the summary for the report, too."""
    assert list(recording.channel_ids) == list(expected.channel_ids)
    assert recording.sampling_frequency == expected.sampling_frequency
    assert recording.dtype == expected.dtype
    n_samples = expected.get_num_samples()
    assert recording.get_num_samples() == n_samples
    for start in (0, 1, 119, 120, n_samples - 1):
        np.testing.assert_array_equal(
            recording.get_traces(start_frame=start), expected.get_traces(start_frame=start)
        )
    np.testing.assert_array_equal(
        recording.get_traces(start_frame=100, end_frame=300, return_in_uV=True),
        expected.get_traces(start_frame=100, end_frame=300, return_in_uV=True),
    )
    np.testing.assert_array_equal(recording.get_times(), expected.get_times())
    for key in ("gain_to_uV", "offset_to_uV", "group", "inter_sample_shift", "channel_name"):
        np.testing.assert_array_equal(
            recording.get_property(key), expected.get_property(key), err_msg=key
        )
    np.testing.assert_array_equal(
        recording.get_channel_locations(), expected.get_channel_locations()
    )
    if not is_whole:
        return
    probe, expected_probe = recording.get_probe(), expected.get_probe()
    pd.testing.assert_frame_equal(
        probe.to_dataframe(complete=True), expected_probe.to_dataframe(complete=True)
    )
    assert probe.annotations == expected_probe.annotations
    assert opening_notes(recording) == opening_notes(expected)
    assert asdict(summarize(recording)) == asdict(summarize(expected))


@pytest.mark.parametrize("name", header_names())
def test_a_compressed_recording_is_identical_to_the_uncompressed_one(
    tmp_path: Path, name: str
) -> None:
    header = read_header(name)
    file = write(tmp_path / "raw", header)
    compress(file, header, tmp_path / "probe00")
    recording = open_recording(tmp_path / "probe00", "cbin_ibl", {})
    assert_identical(recording, open_recording(tmp_path / "raw", "spikeglx", {}))


def test_one_shank_of_a_probe_that_ibl_split_has_its_own_contacts(tmp_path: Path) -> None:
    """IBL's header of a shank counts the channels anew, and keeps the tables of the whole probe."""
    header = read_header("NP2_4_shanks.imec0.ap.meta")
    whole = open_recording(write(tmp_path / "raw", header).parent, "spikeglx", {})
    shank = np.flatnonzero(header.shanks == header.shanks[100])
    assert 0 < len(shank) < 384
    columns = [*shank, 384]
    traces = samples(header, N_SAMPLES)[:, columns]
    one = Header({key.removeprefix("~"): value for key, value in header.items()})
    one |= {
        "acqApLfSy": f"{len(shank)},0,1",
        "snsApLfSy": f"{len(shank)},0,1",
        "nSavedChans": str(len(columns)),
        "snsSaveChanSubset": f"0:{len(shank)}",
        "snsSaveChanSubset_orig": ",".join(map(str, columns)),
        "original_meta": "False",
        "NP2.4_shank": str(header.shanks[100]),
    }
    file = write_with_header(tmp_path / "shank", one, traces, stem=ALF)
    compress(file, one, tmp_path / "probe00a")
    recording = open_recording(tmp_path / "probe00a", "cbin_ibl", {})
    assert_identical(recording, whole.select_channels(whole.channel_ids[shank]), is_whole=False)


def test_several_processes_preprocess_it_to_the_same_samples(tmp_path: Path, cbin: Path) -> None:
    compressed = open_recording(cbin.parent, "cbin_ibl", {})
    uncompressed = open_recording(tmp_path / "raw", "spikeglx", {})
    saved = [
        phase_shift(recording).save(
            folder=tmp_path / name, n_jobs=2, chunk_size=100, progress_bar=False, verbose=False
        )
        for name, recording in {"cbin": compressed, "bin": uncompressed}.items()
    ]
    np.testing.assert_array_equal(saved[0].get_traces(), saved[1].get_traces())


def test_only_the_files_of_the_ap_band_are_fetched(
    tmp_path: Path, cbin: Path, moto_s3: S3Server, bucket: str
) -> None:
    """Of a probe's folder as it is in IBL's bucket, with the LFP band and other files beside it."""
    raw = tmp_path / "raw" / f"{ALF}.imec0.ap.bin"
    published = compress(raw, read_header(NP1), tmp_path / "published").parent
    for file in sorted(published.iterdir()):
        shutil.copy(file, file.with_name(file.name.replace(".ap.", ".lf.")))
    for name in ("imec0.sync", "imec0.timestamps"):
        (published / f"{ALF}.{name}.{uuid5(UUID(int=0), name)}.npy").write_bytes(b"x")
    upload_folder(moto_s3.client, published, bucket, "raw_ephys_data/probe00")
    location = S3Location(bucket=bucket, key="raw_ephys_data/probe00")
    found = find(location, "cbin_ibl", moto_s3.access)
    assert [file.name.suffix for file in found.files] == [".cbin", ".ch", ".meta"]
    assert all(".ap." in file.name.name for file in found.files)
    fetched = fetch_source(found, tmp_path / "scratch")
    assert fetched.path is not None
    recording = open_recording(fetched.path, "cbin_ibl", {})
    assert_identical(recording, open_recording(raw.parent, "spikeglx", {}))


def test_a_truncated_file_is_refused_before_it_is_fetched(
    cbin: Path, moto_s3: S3Server, bucket: str
) -> None:
    cbin.write_bytes(cbin.read_bytes()[:-1])
    upload_folder(moto_s3.client, cbin.parent, bucket, "probe00")
    location = S3Location(bucket=bucket, key="probe00")
    message = refusal(RecordingError, lambda: find(location, "cbin_ibl", moto_s3.access))
    assert "ap.cbin is truncated" in message


def test_the_named_file_is_read(cbin: Path) -> None:
    recording = open_recording(cbin, "cbin_ibl", {})
    assert_identical(recording, open_recording(cbin.parent, "cbin_ibl", {}))


def test_an_excerpt_opens_with_a_note(cbin: Path) -> None:
    """mtscomp cuts a file without its header, and names no SHA-1."""
    whole = open_recording(cbin.parent, "cbin_ibl", {})
    cut = cbin.parent.with_name("cut") / cbin.name
    reader = mtscomp.Reader()
    reader.open(cbin, cbin.with_suffix(".ch"))
    reader.chop(2, cut)
    shutil.copy(cbin.with_suffix(".meta"), cut.parent)
    recording = open_recording(cut.parent, "cbin_ibl", {})
    np.testing.assert_array_equal(recording.get_traces(), whole.get_traces(end_frame=240))
    assert any("is of an excerpt" in note for note in opening_notes(recording))


# ----- files that are damaged, or do not belong together -----------------------------------------


def index(**changes: object) -> Callable[[Path], object]:
    """Return a function that changes the .ch of a .cbin."""

    def change(cbin: Path) -> None:
        file = cbin.with_suffix(".ch")
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return change


def meta(old: str, new: str) -> Callable[[Path], object]:
    """Return a function that changes the .meta of a .cbin."""

    def change(cbin: Path) -> None:
        file = cbin.with_suffix(".meta")
        text, n_found = re.subn(f"(?m)^{old}", new, file.read_text())
        assert n_found == 1
        file.write_text(text)

    return change


def flip_a_byte(cbin: Path) -> None:
    content = bytearray(cbin.read_bytes())
    content[len(content) // 2] ^= 1
    cbin.write_bytes(content)


def index_of_another(cbin: Path) -> None:
    """Replace the .ch by that of a longer recording."""
    other = read_header(NP1)
    file = write_with_header(cbin.parent.with_name("other"), other, samples(other, 700))
    written = compress(file, other, cbin.parent.with_name("another"), with_uuid=False)
    shutil.copy(written.with_suffix(".ch"), cbin.with_suffix(".ch"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda cbin: cbin.write_bytes(cbin.read_bytes()[:-1]), r"ap\.cbin is truncated: it has"),
        (lambda cbin: cbin.write_bytes(cbin.read_bytes() + b"\0"), r"ap\.cbin is too long"),
        (lambda cbin: cbin.write_bytes(b""), r"ap\.cbin is truncated: it has 0 bytes"),
        (flip_a_byte, r"ap\.cbin has the SHA-1 \w{40}, and .*ap\.ch says"),
        (index_of_another, r"has 700 samples, and fileSizeBytes in the other implies 400;"),
        (index(version="2.0"), r"ap\.ch: version: Input should be '1\.0' \(it is '2\.0'\)"),
        (index(algorithm="lzma"), r"algorithm: Input should be 'zlib' \(it is 'lzma'\)"),
        (index(dtype="uint16"), r"dtype: Input should be 'int16' \(it is 'uint16'\)"),
        (index(chunk_order="K"), r"chunk_order: Input should be 'C' or 'F'"),
        (index(n_channels=384), r"the one has 384 channels, the other 385"),
        (index(n_channels=-385), r"n_channels: Input should be greater than 0"),
        (index(sample_rate=2500.0), r"sampled at 2500 Hz, and its meta file says 30000 Hz"),
        (
            index(chunk_bounds=[0, 120, 100, 360, 400]),
            r"ap\.ch do not follow each other",
        ),
        (index(chunk_bounds=[0, 400]), r"has 1 chunks of samples, and 4 chunks of bytes"),
        (index(chunk_offsets=None), r"chunk_offsets: Input should be a valid list"),
        (index(sha1_compressed="0" * 40), r"and .*ap\.ch says 0{40}"),
        (lambda cbin: cbin.with_suffix(".ch").write_text("{"), r"ap\.ch is not JSON"),
        (lambda cbin: cbin.with_suffix(".ch").unlink(), r"cannot be read without .*ap\.ch"),
        (lambda cbin: cbin.with_suffix(".meta").unlink(), r"cannot be read without .*ap\.meta"),
        (meta("fileSHA1=.*", "fileSHA1=" + "A" * 40), r"name different SHA-1"),
        (meta("fileSizeBytes=.*", "fileSizeBytes=30800"), r"400 samples, and .* implies 40;"),
        (meta("nSavedChans=.*", "nSavedChans=384"), r"the one has 385 channels, the other 384"),
        (meta("imSampRate=.*", "imSampRate=2500"), r"and its meta file says 2500 Hz"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    cbin: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    open_recording(cbin.parent, "cbin_ibl", {})
    spoil(cbin)
    message = refusal(RecordingError, lambda: open_recording(cbin.parent, "cbin_ibl", {}))
    assert re.search(reason, message), message


@pytest.mark.parametrize(
    "kwargs",
    [{"stream_name": "nidq"}, {"load_sync_channel": True}],
    ids=lambda kwargs: next(iter(kwargs)),
)
def test_other_streams_are_refused(cbin: Path, kwargs: dict[str, object]) -> None:
    message = refusal(SettingsError, partial(open_recording, cbin.parent, "cbin_ibl", kwargs))
    assert "only the AP band is sorted" in message


def test_each_reader_names_the_other(tmp_path: Path, cbin: Path) -> None:
    published = compress(
        tmp_path / "raw" / cbin.with_suffix(".bin").name, read_header(NP1), tmp_path / "ibl"
    )
    for folder in (cbin.parent, published.parent):
        run = partial(open_recording, folder, "spikeglx", {})
        assert refusal(SettingsError, run).endswith("set DATA_TYPE=cbin_ibl")
    assert likely_data_type([published]) == "cbin_ibl"
    message = refusal(RecordingError, lambda: open_recording(tmp_path / "raw", "cbin_ibl", {}))
    assert message.endswith("set DATA_TYPE=spikeglx")


def test_two_versions_of_a_file_are_refused(cbin: Path) -> None:
    """IBL's revisions of a file differ in their UUID."""
    file = cbin.with_suffix(".ch")
    shutil.copy(file, file.with_suffix(f".{uuid5(UUID(int=0), 'revision')}.ch"))
    message = refusal(SettingsError, lambda: open_recording(cbin.parent, "cbin_ibl", {}))
    assert "has several .ch files" in message
