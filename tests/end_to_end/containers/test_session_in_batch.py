"""A session by one command: from S3 through Batch to one page, one NWB file and one clock."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import spikeinterface as si
from nwbinspector import Importance, inspect_nwbfile
from pynwb import NWBHDF5IO

from tests.end_to_end.containers.cloud import Cloud
from tests.end_to_end.containers.conftest import SOURCE_BUCKET, TARGET_BUCKET
from tests.end_to_end.containers.laptop import Laptop
from tests.support.sessions import EVENTS_S, NIDQ_START_S, WrittenSession, write_session
from tests.support.sorted_results import download_folder, keys_below, upload_folder

pytestmark = [pytest.mark.integration, pytest.mark.sorting, pytest.mark.docker]

RUN = "sessions/run_g0"
PROBES = ("imec0.ap", "imec1.ap")

#: the promise of the session's clock
TOLERANCE_S = 1e-4


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenSession:
    return write_session(tmp_path_factory.mktemp("session"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A session whose jobs have ended."""

    #: of the array and the gathering job, as `wait` ends for each
    exit_codes: tuple[int, int]
    #: of the gathering job
    log: str
    #: everything below the target
    results: Path


def submit(laptop: Laptop, cloud: Cloud, run: str, folder: Path) -> Ended:
    """Submit a session by one command, and wait for both jobs."""
    submission = laptop.submit_job(
        *("--session", f"s3://{SOURCE_BUCKET}/{run}", "--yes"),
        *("--target", f"s3://{TARGET_BUCKET}/{run}"),
        *("--data-type", "spikeglx", "--sorters", "simple", "--exports", "nwb"),
    )
    assert submission.returncode == 0, submission.stderr
    array, gathering = submission.stdout.split()
    wait = [laptop.submit_job("wait", job, "--poll-interval", "0.5") for job in (array, gathering)]
    return Ended(
        exit_codes=(wait[0].returncode, wait[1].returncode),
        log=laptop.submit_job("logs", gathering).stdout,
        results=download_folder(cloud.server.client, TARGET_BUCKET, run, folder),
    )


@pytest.fixture(scope="module")
def results(
    laptop: Laptop, cloud: Cloud, written: WrittenSession, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    upload_folder(cloud.server.client, written.run, SOURCE_BUCKET, RUN)
    ended = submit(laptop, cloud, RUN, tmp_path_factory.mktemp("results"))
    assert ended.exit_codes == (0, 0), ended.log
    return ended.results


@pytest.fixture(scope="module")
def units(results: Path) -> pd.DataFrame:
    with NWBHDF5IO(results / "session/units.nwb", "r") as io:
        return io.read().units.to_dataframe()


def nearest(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the found spike that is nearest to each true one."""
    return np.asarray(found[np.abs(found[:, None] - truth).argmin(axis=0)])


@pytest.mark.parametrize("probe", [0, 1])
def test_times_of_all_spikes_are_within_a_tenth_of_a_millisecond_of_their_true_ones(
    units: pd.DataFrame, results: Path, written: WrittenSession, probe: int
) -> None:
    sorting = si.load(results / PROBES[probe] / "simple/sorting")
    of_probe = units[units["stream"] == PROBES[probe]]
    assert len(of_probe) == len(sorting.unit_ids) >= 3
    for unit, times_s in zip(of_probe["original_unit_id"], of_probe["spike_times"], strict=True):
        [unit_id] = [each for each in sorting.unit_ids if str(each) == str(unit)]
        frames = sorting.get_unit_spike_train(unit_id, segment_index=0)
        assert np.abs(times_s - written.true_times_s(probe, frames)).max() < TOLERANCE_S


@pytest.mark.parametrize("probe", [0, 1])
def test_true_spikes_are_found_at_their_true_times(
    units: pd.DataFrame, written: WrittenSession, probe: int
) -> None:
    found_s = np.sort(np.concatenate([*units["spike_times"][units["stream"] == PROBES[probe]]]))
    sorting = written.sortings[probe]
    for unit in sorting.unit_ids:
        frames = sorting.get_unit_spike_train(unit, segment_index=0)
        true_s = written.true_times_s(probe, frames)
        errors_s = np.abs(nearest(found_s, true_s) - true_s)
        # a sorter misses spikes, and places those that overlap some frames aside
        assert np.mean(errors_s < TOLERANCE_S) > 0.85
        assert np.median(errors_s) < TOLERANCE_S / 2


def test_the_clocks_drift_as_they_truly_do(results: Path) -> None:
    clock = json.loads((results / "session/clock.json").read_text())
    assert clock["reference"] == "nidq"
    drifts = {name: clock["streams"][name]["drift_ppm"] for name in PROBES}
    # edges are known to a sample, 40 us of 20 s
    assert drifts == pytest.approx({"imec0.ap": -30.0, "imec1.ap": 30.0}, abs=4.0)
    assert all(clock["streams"][name]["status"] == "aligned" for name in PROBES)


def test_events_have_their_true_times(results: Path) -> None:
    events = pd.read_csv(results / "session/events.csv")
    lines = [of_line for _, of_line in events[events["stream"] == "nidq"].groupby("line")]
    [times_s] = [each["time_s"] for each in lines if len(each) == len(EVENTS_S)]
    np.testing.assert_allclose(times_s, NIDQ_START_S + EVENTS_S, atol=TOLERANCE_S)


def test_the_record_says_that_all_streams_were_sorted(results: Path) -> None:
    record = json.loads((results / "session/session.json").read_text())
    assert (record["status"], record["exit_code"]) == ("succeeded", 0)
    streams: list[Mapping[str, Any]] = record["streams"]
    assert [each["folder"] for each in streams] == list(PROBES)
    assert all(each["sorters"][0]["n_units"] >= 3 for each in streams)


def test_the_page_shows_both_probes(results: Path) -> None:
    page = (results / "session/session.html").read_text()
    assert all(name in page for name in (*PROBES, "nidq"))


def test_the_nwb_file_passes_its_inspector(results: Path) -> None:
    findings = inspect_nwbfile(nwbfile_path=results / "session/units.nwb")
    shown = [f for f in findings if f.importance is not Importance.BEST_PRACTICE_SUGGESTION]
    # SpikeGLX knows no subject, and none is made up
    assert [f.message for f in shown] == ["Subject is missing."]


def test_a_probe_that_fails_costs_its_own_stream_alone(
    laptop: Laptop, cloud: Cloud, tmp_path: Path, written: WrittenSession
) -> None:
    client = cloud.server.client
    broken = "sessions/broken_g0"
    upload_folder(client, written.run, SOURCE_BUCKET, broken)
    [key] = [k for k in keys_below(client, SOURCE_BUCKET, broken) if k.endswith("imec1.ap.bin")]
    client.put_object(Bucket=SOURCE_BUCKET, Key=key, Body=b"cut off")
    ended = submit(laptop, cloud, broken, tmp_path)
    # AWS starts the gathering job only if all streams end with 0, so that it has the code of all
    assert ended.exit_codes[0] == 0
    assert ended.exit_codes[1] != 0
    record = json.loads((tmp_path / "session/session.json").read_text())
    assert record["exit_code"] == os.EX_SOFTWARE
    assert [each["exit_code"] for each in record["streams"]] == [0, os.EX_DATAERR]
    assert record["error"] in ended.log
    assert record["error"].startswith("1 of 2 streams failed (imec1.ap: ")
    with NWBHDF5IO(tmp_path / "session/units.nwb", "r") as io:
        assert set(io.read().units["stream"].data[:]) == {"imec0.ap"}
