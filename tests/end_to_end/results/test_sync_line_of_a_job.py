"""A job with CLOCK writes the pulses of its sync line beside its results."""

from pathlib import Path

import numpy as np
import pytest

from spikeinterface_cloud.recording.sync.sync_line import read_sync_line
from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.job import ONE_WORKER, assert_succeeded, run_job
from tests.support.recordings import SpikeGlxRun, simulate, write_spikeglx

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]

RISES = np.array([15_000, 45_000, 75_000])


def test_the_sync_line_is_there_whichever_attempt_sorted(tmp_path: Path) -> None:
    recording, _ = simulate(duration_s=3.0, n_channels=8, n_units=2)
    run = write_spikeglx(tmp_path, recording, SpikeGlxRun(first_sample=60_000))
    [file] = run.rglob("*.ap.bin")
    samples = np.memmap(file, "int16", mode="r+").reshape(-1, recording.get_num_channels() + 1)
    for rise in RISES:
        samples[rise : rise + 9_000, -1] |= 64
    variables = {
        **ONE_WORKER,
        "SOURCE_FOLDER": str(run),
        "DATA_TYPE": "spikeglx",
        "READ_RECORDING_KWARGS": '{"stream_id": "imec0.ap"}',
        "SORTERS": "simple",
        "CLOCK": "nidq",
    }
    sync = tmp_path / "results" / "sync.json"
    assert_succeeded(run_job(tmp_path, variables))
    line = read_sync_line(sync.read_bytes(), "sync.json")
    np.testing.assert_allclose(line.rising_s, (RISES + 60_000) / 30_000.0, rtol=0, atol=1e-9)
    content = sync.read_bytes()
    sync.unlink()
    resumed = run_job(tmp_path, variables)
    assert_succeeded(resumed)
    assert set(resumed.outcomes().values()) == {"resumed"}
    assert sync.read_bytes() == content
    written = sync.stat().st_mtime_ns
    complete = run_job(tmp_path, variables)
    assert "there is nothing to do" in complete.log
    assert sync.stat().st_mtime_ns == written
