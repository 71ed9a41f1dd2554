"""A job where `/dev/shm` has the 64 MiB of a container that asks for no more.

In a mount namespace of its own: what is there is as small as it says, and who writes beyond dies.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from spikeinterface.core import BaseRecording

from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.job import Job, assert_refused, assert_succeeded, run_job
from tests.support.recordings import simulate, write_binary_folder
from tests.support.sorted_results import assert_complete, n_true_units_found


def with_shared_memory(size: str) -> list[str]:
    """Return the command that runs another one with a `/dev/shm` of this size."""
    as_root = [] if os.getuid() == 0 else ["--map-root-user"]
    mount = f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"'
    return ["unshare", "--mount", *as_root, "sh", "-c", mount, "sh"]


def with_scratch(job_folder: Path, size: str) -> list[str]:
    """Return the command that goes on with scratch of this size, in the same namespace."""
    scratch = job_folder / "scratch"
    scratch.mkdir(parents=True)
    mount = f'mount -t tmpfs -o size={size} tmpfs {scratch} && exec "$@"'
    return ["sh", "-c", mount, "sh"]


def sort_on_small_scratch(folder: Path, recording: BaseRecording, sorter: str, size: str) -> Job:
    """Run a job whose scratch has this size, and whose `/dev/shm` has 64 MiB."""
    return run_job(
        folder / "job",
        {
            "SOURCE_FOLDER": str(write_binary_folder(folder / "source", recording)),
            "DATA_TYPE": "binary",
            "SORTERS": sorter,
            "N_JOBS": "1",
        },
        launcher=[*with_shared_memory("64m"), *with_scratch(folder / "job", size)],
    )


def has_namespaces() -> bool:
    """Return whether the kernel lets this user have a mount of its own."""
    return subprocess.run([*with_shared_memory("64m"), "true"], capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.integration,
    pytest.mark.sorting,
    pytest.mark.skipif(not has_namespaces(), reason="this user may have no mount namespace"),
    UNSAVED_PROVENANCE,
]


def test_large_recording_stays_out_of_shared_memory(tmp_path: Path) -> None:
    """By default, spykingcircus2 shares the filtered recording: here 92 MB of floats."""
    recording, truth = simulate(duration_s=48.0, n_channels=16, n_units=3, seed=1)
    job = run_job(
        tmp_path / "job",
        {
            "SOURCE_FOLDER": str(write_binary_folder(tmp_path / "source", recording)),
            "DATA_TYPE": "binary",
            "SORTERS": "spykingcircus2",
            "SORTERS_KWARGS": '{"spykingcircus2": {"apply_motion_correction": false}}',
            "N_JOBS": "2",
        },
        launcher=with_shared_memory("64m"),
    )
    assert_succeeded(job)
    assert job.record["machine"]["shared_memory_bytes"] == 64 * 2**20
    assert_complete(job.results, ["spykingcircus2"])
    assert n_true_units_found(job.results, "spykingcircus2", truth) == 3


def test_recording_that_fits_nowhere_is_filtered_again_and_again(tmp_path: Path) -> None:
    """Neither `/dev/shm` nor scratch holds 11.5 MB of filtered floats."""
    recording, truth = simulate(duration_s=6.0, n_channels=16, n_units=3, seed=1)
    job = sort_on_small_scratch(tmp_path, recording, "tridesclous2", "12m")
    assert_succeeded(job)
    assert "tridesclous2 filters the recording in each of its steps" in job.log
    assert n_true_units_found(job.results, "tridesclous2", truth) == 3


def test_waveforms_larger_than_scratch_are_refused(tmp_path: Path) -> None:
    """They are written to mapped memory, and a full disk would kill the job with SIGBUS."""
    recording, _ = simulate(duration_s=6.0, n_channels=16, n_units=3, seed=1)
    job = sort_on_small_scratch(tmp_path, recording, "simple", "500k")
    assert job.exit_code == 69, job.log
    (error,) = job.errors
    assert re.search("the sampled waveforms take .* are free; give the job more scratch", error)


def test_sorter_too_large_for_shared_memory_is_refused(tmp_path: Path) -> None:
    recording, _ = simulate(duration_s=1.0, n_channels=16, n_units=1, seed=1)
    job = run_job(
        tmp_path / "job",
        {
            "SOURCE_FOLDER": str(write_binary_folder(tmp_path / "source", recording)),
            "DATA_TYPE": "binary",
            "SORTERS": "tridesclous2",
        },
        launcher=with_shared_memory("16m"),
    )
    assert_refused(job, 69, "tridesclous2: /dev/shm has 16.0 MiB, .*docker run --shm-size")


def test_read_only_shared_memory_is_refused(tmp_path: Path) -> None:
    variables = {"TEST_WITH_TOY_RECORDING": "true", "SORTERS": "simple", "N_JOBS": "1"}
    job = run_job(tmp_path / "job", variables, launcher=with_shared_memory("64m,ro"))
    assert_refused(
        job, 69, r"^/dev/shm, .* cannot be written \(Read-only file system\); mount it writable"
    )
