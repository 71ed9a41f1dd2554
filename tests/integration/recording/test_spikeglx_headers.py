"""Every header of SpikeGLX in probeinterface's test data, with samples, opened as a job opens it.

Gains, positions, shanks and sample shifts are compared with what the header says by SpikeGLX's
documentation (`tests/support/spikeglx_headers.py`).
"""

from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.imec import header_files
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.open import OpenedRecording, open_source
from spikeinterface_cloud.recording.source import FetchedSource
from tests.support.spikeglx_headers import (
    Header,
    header_names,
    read_header,
    samples,
    write_with_header,
)

pytestmark = pytest.mark.integration

#: a second and a bit, as a job sorts no less; what only has to be opened is shorter
N_SAMPLES, N_FEW = 31000, 400

QUAD_BASE = "NP2020_sample_g0_t0.imec0.ap.meta"
GROUP_WISE = "NP1110_vstripe_g0_t0.imec0.ap.meta"
NP1 = "Noise_g0_t0.imec0.ap.meta"
NP2_SUBSET = "NP2_2013_subset_channels.imec0.ap.meta"


def opened(folder: Path) -> OpenedRecording:
    return open_source(FetchedSource(path=folder), "spikeglx", {}, None)


def only_read(folder: Path, **kwargs: object) -> BaseRecording:
    return open_recording(folder, "spikeglx", kwargs)


def refusal(folder: Path) -> str:
    with pytest.raises(RecordingError) as raised:
        only_read(folder)
    message = str(raised.value)
    assert "\n" not in message
    assert "is whole" not in message
    return message


def assert_follows(recording: BaseRecording, header: Header, traces: np.ndarray) -> None:
    """Check that AP channels, gains and samples are those of the header."""
    n_channels = len(header.ap_channels)
    assert recording.get_num_channels() == n_channels
    assert [str(name).split("#")[1] for name in recording.channel_ids] == [
        f"AP{channel}" for channel in header.ap_channels
    ]
    np.testing.assert_allclose(recording.get_channel_gains(), header.gains_uv, rtol=1e-9)
    np.testing.assert_array_equal(recording.get_channel_offsets(), 0)
    end = len(traces) - 100
    np.testing.assert_array_equal(
        recording.get_traces(start_frame=end), traces[end:, :n_channels], strict=True
    )
    np.testing.assert_allclose(
        recording.get_traces(end_frame=100, return_in_uV=True),
        traces[:100, :n_channels] * header.gains_uv,
        rtol=1e-6,
    )


def assert_placed(recording: BaseRecording, header: Header) -> None:
    """Contacts are where the header puts them, but for the origin; groups are its shanks."""
    expected = header.positions_um
    expected[:, 0] -= expected[0, 0] - recording.get_channel_locations()[0, 0]
    np.testing.assert_allclose(recording.get_channel_locations(), expected, atol=1e-6)
    groups = recording.get_property("group")
    for shank in np.unique(header.shanks):
        assert len(np.unique(groups[header.shanks == shank])) == 1
    assert len(np.unique(groups)) == len(np.unique(header.shanks))
    shifts = recording.get_property("inter_sample_shift")
    if header.is_aligned:
        assert shifts is None
    else:
        np.testing.assert_allclose(shifts, header.sample_shifts, atol=1e-9)


@pytest.mark.parametrize("name", header_names())
def test_a_header_opens_with_its_own_values(tmp_path: Path, name: str) -> None:
    header = read_header(name)
    traces = samples(header, N_SAMPLES)
    write_with_header(tmp_path, header, traces)
    result = opened(tmp_path)
    assert_follows(result.recording, header, traces)
    assert_placed(result.recording, header)
    assert result.recording.sampling_frequency == float(header["imSampRate"])
    start_s = int(header["firstSample"]) / float(header["imSampRate"])
    assert result.recording.get_start_time(0) == pytest.approx(start_s, abs=1e-9)
    assert result.summary["n_shanks"] == len(np.unique(header.shanks))
    not_used = [note for note in result.notes if "not used" in note]
    assert len(not_used) == bool(len(header.unused))
    for channel in header.unused:
        assert f"#AP{header.ap_channels[channel]}" in not_used[0]


@pytest.mark.parametrize(
    "name", [name for name in header_names() if "~muxTbl" in read_header(name)]
)
def test_the_two_rules_of_sample_shifts_agree(name: str) -> None:
    """So that the rule that headers without a table are compared with is the right one."""
    header = read_header(name)
    assert header.multiplexed_shifts is not None
    np.testing.assert_allclose(header.multiplexed_shifts, header.sample_shifts)


def with_gains(header: Header) -> Header:
    """Give each channel of a Neuropixels 1.0 header another gain."""
    head, *rows = header.entries("imroTbl")
    for channel, row in enumerate(rows):
        fields = row.split()
        fields[3] = str((250, 500, 1000)[channel % 3])
        rows[channel] = " ".join(fields)
    table = f"({head})" + "".join(f"({row})" for row in rows)
    return Header({**header, "~imroTbl": table})


def subset(header: Header, saved: str, n_sync: int) -> Header:
    """Change a header to one of which only the channels `saved` were written."""
    smaller = Header({**header, "snsSaveChanSubset": saved + (",768" if n_sync else "")})
    kept = smaller.ap_channels
    smaller["nSavedChans"] = str(len(kept) + n_sync)
    smaller["snsApLfSy"] = f"{len(kept)},0,{n_sync}"
    names = header.entries("snsChanMap")
    sites = header.entries("snsShankMap")
    smaller["~snsChanMap"] = f"({names[0]})" + "".join(f"({names[1 + c]})" for c in kept)
    smaller["~snsChanMap"] += f"({names[-1]})" if n_sync else ""
    smaller["~snsShankMap"] = f"({sites[0]})" + "".join(f"({sites[1 + c]})" for c in kept)
    return smaller


@pytest.mark.parametrize("n_sync", [0, 1])
def test_gains_follow_the_channel_not_its_place_in_the_file(tmp_path: Path, n_sync: int) -> None:
    """Of a subset that begins in the middle, with and without the sync word."""
    header = subset(with_gains(read_header(NP1)), "100:163,200:231", n_sync)
    assert set(np.round(header.gains_uv, 4)) == {4.6875, 2.3438, 1.1719}
    traces = samples(header, N_FEW)
    write_with_header(tmp_path, header, traces)
    recording = only_read(tmp_path)
    assert_follows(recording, header, traces)
    assert_placed(recording, header)


def test_a_stream_of_inputs_alone_is_kept(tmp_path: Path) -> None:
    header = read_header(QUAD_BASE)
    traces = samples(header, N_FEW)
    write_with_header(tmp_path, header, traces, changes={"snsSaveChanSubset": "all"})
    assert_follows(only_read(tmp_path), header, traces)


@pytest.mark.parametrize("name", [NP1, QUAD_BASE, GROUP_WISE])
def test_a_header_without_size_opens(tmp_path: Path, name: str) -> None:
    """SpikeGLX writes size, duration and first sample when it stops, unless it crashes."""
    header = read_header(name)
    traces = samples(header, N_FEW)
    missing = dict.fromkeys(["fileSizeBytes", "fileTimeSecs", "fileSHA1"])
    write_with_header(tmp_path, header, traces, changes=missing)
    assert_follows(only_read(tmp_path), header, traces)


@pytest.mark.parametrize("name", [QUAD_BASE, GROUP_WISE])
def test_triggers_become_segments_that_start_at_their_first_sample(
    tmp_path: Path, name: str
) -> None:
    """Trigger 10 is after trigger 2."""
    header = read_header(name)
    traces = samples(header, N_FEW)
    for number, trigger in enumerate([0, 2, 10]):
        first = {"firstSample": str(90_000 + 60_000 * number)}
        part = traces[: len(traces) - number]
        write_with_header(tmp_path, header, part, stem=f"run_g0_t{trigger}", changes=first)
    recording = only_read(tmp_path)
    lengths = [recording.get_num_samples(segment) for segment in range(3)]
    assert lengths == [N_FEW, N_FEW - 1, N_FEW - 2]
    rate = float(header["imSampRate"])
    starts_s = [recording.get_start_time(segment) for segment in range(3)]
    np.testing.assert_allclose(starts_s, np.array([90_000, 150_000, 210_000]) / rate)


@pytest.mark.parametrize("name", [NP1, QUAD_BASE])
def test_short_channel_names_can_be_requested(tmp_path: Path, name: str) -> None:
    header = read_header(name)
    write_with_header(tmp_path, header, samples(header, N_FEW))
    recording = only_read(tmp_path, use_names_as_ids=True)
    assert list(recording.channel_ids) == [f"AP{channel}" for channel in header.ap_channels]


@pytest.mark.parametrize("name", [NP1, QUAD_BASE])
def test_header_files_of_a_recording_are_found(tmp_path: Path, name: str) -> None:
    """Also once channels and frames were cut."""
    header = read_header(name)
    files = [
        write_with_header(tmp_path, header, samples(header, N_FEW), stem=f"run_g0_t{trigger}")
        for trigger in (2, 10)
    ]
    recording = only_read(tmp_path)
    part = recording.select_channels(recording.channel_ids[:5]).select_segments([0, 1])
    assert header_files(part) == [file.with_suffix(".meta") for file in files]
    saved = part.save(folder=tmp_path / "saved", format="binary", progress_bar=False)
    assert header_files(saved) == []


@pytest.mark.parametrize("requested", [None, "imec0.ap"])
def test_a_probe_beside_one_that_neo_cannot_read_opens(
    tmp_path: Path, requested: str | None
) -> None:
    """Both can be chosen, although neo reads every header in the folder."""
    header, other = read_header(NP1), read_header(GROUP_WISE)
    traces = samples(header, N_FEW)
    write_with_header(tmp_path / "run_g0_imec0", header, traces)
    file = write_with_header(tmp_path / "run_g0_imec1", other, samples(other, N_FEW))
    for part in (file, file.with_suffix(".meta")):
        part.rename(part.with_name(part.name.replace("imec0", "imec1")))
    if requested is None:
        with pytest.raises(SettingsError, match=r"2 AP bands: imec0\.ap, imec1\.ap; choose one"):
            only_read(tmp_path)
    else:
        assert_follows(only_read(tmp_path, stream_id=requested), header, traces)


@pytest.mark.parametrize("name", [QUAD_BASE, GROUP_WISE])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str) -> None:
    header = read_header(name)
    file = write_with_header(tmp_path, header, samples(header, N_FEW))
    with file.open("r+b") as binary:
        binary.truncate(file.stat().st_size - 2 * header.n_saved)
    with pytest.raises(RecordingError, match=r"run_g0_t0\.imec0\.ap\.bin is truncated"):
        only_read(tmp_path)


def test_triggers_with_different_gains_are_refused(tmp_path: Path) -> None:
    """They would be sorted with the first one's."""
    header = read_header(NP1)
    traces = samples(header, N_FEW)
    write_with_header(tmp_path, header, traces)
    write_with_header(tmp_path, with_gains(header), traces, stem="run_g0_t1")
    message = refusal(tmp_path)
    assert "run_g0_t0.imec0.ap.meta and run_g0_t1.imec0.ap.meta differ in imroTbl" in message


def test_an_unknown_probe_is_refused(tmp_path: Path) -> None:
    header = read_header(NP1)
    traces = samples(header, N_FEW)
    write_with_header(tmp_path, header, traces, changes={"imDatPrb_pn": "NP9999"})
    message = refusal(tmp_path)
    assert "a probe NP9999" in message
    assert "DATA_TYPE=binary" in message
