"""A whole job removes the artifacts of stimuli that another stream of the session recorded."""

import json
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si

from tests.support.job import ONE_WORKER, Job, assert_succeeded, run_job, s3_access
from tests.support.recordings import simulate
from tests.support.servers import S3Server
from tests.support.sorted_results import n_true_units_found, upload_folder
from tests.support.stimulated_run import (
    PROBE_HZ,
    STIMULUS_S,
    frames_of_probe,
    write_stimulated_run,
)

pytestmark = [pytest.mark.integration, pytest.mark.sorting]

SECONDS = 16.0

#: an artifact is larger than any spike
ARTIFACT = 300

STIMULI_S = np.cumsum(np.random.default_rng(3).uniform(0.08, 0.16, 120))

STEP = {"remove_artifacts": {"triggers": "nidq:line3", "ms_before": 0.5, "ms_after": 3.0}}


def spikes_at_stimuli(job: Job) -> float:
    """The fraction of the stimuli during which, or within 0.3 ms of which, a unit spikes."""
    sorting = si.load(job.results / "simple" / "sorting")
    spikes = np.sort(sorting.to_spike_vector()["sample_index"])
    first = frames_of_probe(STIMULI_S) - 0.0003 * PROBE_HZ
    last = frames_of_probe(STIMULI_S) + (STIMULUS_S + 0.0003) * PROBE_HZ
    return float((np.searchsorted(spikes, last) > np.searchsorted(spikes, first)).mean())


def test_artifacts_are_no_units_and_the_neurons_stay(tmp_path: Path, moto_s3: S3Server) -> None:
    recording, truth = simulate(duration_s=SECONDS, n_channels=16, n_units=3, seed=1)
    run = write_stimulated_run(tmp_path, recording, STIMULI_S, ARTIFACT)
    moto_s3.client.create_bucket(Bucket="stimulated")
    upload_folder(moto_s3.client, run, "stimulated", "raw/mouse_g0")
    given = ONE_WORKER | {
        **s3_access(moto_s3.url),
        "SOURCE_AWS_S3_BUCKET": "stimulated",
        "SOURCE_AWS_S3_BUCKET_FOLDER": "raw/mouse_g0",
        "DATA_TYPE": "spikeglx",
        "SORTERS": "simple",
    }
    kept = run_job(tmp_path / "kept", given | {"PREPROCESSING": "none"})
    assert_succeeded(kept)
    assert spikes_at_stimuli(kept) > 0.9
    removed = run_job(tmp_path / "removed", given | {"PREPROCESSING": json.dumps(STEP)})
    assert_succeeded(removed)
    [step] = removed.record["preprocessing"]["steps"]
    [frames] = step["params"]["list_triggers"]
    # an edge is seen at NI-DAQ's next sample, 1.2 samples of the probe later at most
    assert np.abs(np.array(frames) - frames_of_probe(STIMULI_S) - 0.6).max() < 1.7
    assert spikes_at_stimuli(removed) == 0
    assert n_true_units_found(removed.results, "simple", truth) == 3
