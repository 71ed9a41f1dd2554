"""From the files of a session to one clock: a probe and an NI-DAQ, both with the same pulses."""

from pathlib import Path

import numpy as np
import pytest

from spikeinterface_cloud.recording.formats.session_streams import SessionStream
from spikeinterface_cloud.recording.sync.find_sync import find_sync
from spikeinterface_cloud.session.stream_clocks import align_streams, auxiliary_lines
from tests.support.nidq import write_nidq
from tests.support.spikeglx_headers import read_header, samples, write_with_header

pytestmark = pytest.mark.integration

HEADER = read_header("NP2_2013_subset_channels.imec0.ap.meta")
PROBE_HZ, NI_HZ = float(HEADER["imSampRate"]), 25_000.0
#: how much faster the probe's clock runs than its header says, and NI-DAQ's than its own
PROBE_PPM, NI_PPM = 40.0, -20.0
LENGTH_S = 13.0


def stream(name: str) -> SessionStream:
    return SessionStream(identifier=name, folder=name, kwargs={"stream_id": name}, size_bytes=None)


def sync_bits(rate_hz: float, ppm: float) -> np.ndarray:
    """Return a line that is high in the second half of each true second."""
    frames = np.arange(round(LENGTH_S * rate_hz))
    return frames / (rate_hz * (1 + 1e-6 * ppm)) % 1 >= 0.5


def write_session(folder: Path) -> None:
    traces = samples(HEADER, round(LENGTH_S * PROBE_HZ))
    traces[:, -1] = 64 * sync_bits(PROBE_HZ, PROBE_PPM)
    write_with_header(folder, HEADER, traces, changes={"firstSample": "700000"})
    words = sync_bits(NI_HZ, NI_PPM).astype("uint16")[:, None] << 3
    changes: dict[str, object] = {"syncSourceIdx": 2, "syncNiChanType": 0, "syncNiChan": 3}
    write_nidq(folder / "run_g0_t0", words, rate_hz=NI_HZ, first_sample=250_000, changes=changes)


def test_spikes_of_a_probe_are_placed_on_the_clock_of_ni_daq(tmp_path: Path) -> None:
    write_session(tmp_path / "raw")
    results = tmp_path / "results" / "imec0.ap"
    results.mkdir(parents=True)
    probe, nidq = stream("imec0.ap"), stream("nidq")
    find_sync(tmp_path / "raw", "spikeglx", probe.kwargs).write(results / "sync.json")

    def read(name: str) -> bytes | None:
        file = tmp_path / "results" / name
        return file.read_bytes() if file.is_file() else None

    auxiliary = auxiliary_lines(tmp_path / "raw", "spikeglx", [nidq], (), {})
    clock = align_streams([probe, stream("imec1.ap")], read, auxiliary, nidq)
    assert clock.reference == "nidq"
    assert {name: each.status for name, each in clock.streams.items()} == {
        "nidq": "reference",
        "imec0.ap": "aligned",
        "imec1.ap": "own",
    }
    assert clock.streams["imec1.ap"].why is not None
    assert "its job left no imec1.ap/sync.json" in clock.streams["imec1.ap"].why
    true_s = np.linspace(0, LENGTH_S - 0.1, 1000)
    own_s = 700_000 / PROBE_HZ + true_s * (1 + 1e-6 * PROBE_PPM)
    expected_s = 250_000 / NI_HZ + true_s * (1 + 1e-6 * NI_PPM)
    mapped_s = clock.streams["imec0.ap"].to_reference(own_s)
    np.testing.assert_allclose(mapped_s, expected_s, rtol=0, atol=1e-4)


def test_a_reference_without_pulses_leaves_each_stream_on_its_own_clock(tmp_path: Path) -> None:
    auxiliary = auxiliary_lines(tmp_path, "spikeglx", [stream("nidq")], (), {})
    clock = align_streams([stream("imec0.ap")], lambda _: None, auxiliary, stream("nidq"))
    assert clock.streams["imec0.ap"].status == "own"
    assert "nidq has no sync line" in str(clock.streams["imec0.ap"].why)
