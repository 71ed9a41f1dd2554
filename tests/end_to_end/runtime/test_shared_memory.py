"""A job where `/dev/shm` has the 64 MiB of a container that asks for no more.

In a mount namespace of its own: what is there is as small as it says, and who writes beyond dies.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.job import assert_succeeded, run_job
from tests.support.recordings import simulate, write_binary_folder
from tests.support.sorted_results import assert_complete, n_true_units_found

SMALL_SHARED_MEMORY = [
    "unshare",
    "--mount",
    *([] if os.getuid() == 0 else ["--map-root-user"]),
    "sh",
    "-c",
    'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"',
    "sh",
]


def has_namespaces() -> bool:
    """Whether the kernel lets this user have a mount of its own."""
    return subprocess.run([*SMALL_SHARED_MEMORY, "true"], capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.integration,
    pytest.mark.sorting,
    pytest.mark.skipif(not has_namespaces(), reason="this user may have no mount namespace"),
    UNSAVED_PROVENANCE,
]

#: fills and reads back shared memory of 80 MiB, from a worker, as SpikeInterface does
SHARE = """
import multiprocessing, sys
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from spikeinterface_cloud.runtime.shared_memory import shared_memory_of_any_size

SIZE = 80 * 1024**2

def fill(name):
    block = SharedMemory(name)
    block.buf[:] = b"x" * SIZE
    block.close()

def share():
    block = SharedMemory(create=True, size=SIZE)
    worker = multiprocessing.get_context("fork").Process(target=fill, args=[block.name])
    worker.start()
    worker.join()
    if worker.exitcode == 0:
        assert bytes(block.buf[-3:]) == b"xxx"
    block.close()
    block.unlink()
    return worker.exitcode

plain = share()
with shared_memory_of_any_size(Path(sys.argv[1])):
    placed = share()
print(plain, placed, share())
"""


def test_what_is_too_large_for_it_is_shared_all_the_same(tmp_path: Path) -> None:
    """The worker dies of SIGBUS (7) where shared memory is in `/dev/shm`, and only there."""
    done = subprocess.run(
        [*SMALL_SHARED_MEMORY, sys.executable, "-c", SHARE, str(tmp_path / "shared")],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("-7 0 -7\n", "")
    assert list((tmp_path / "shared").iterdir()) == []


def test_a_sorter_with_many_workers_shares_more_than_there_is(tmp_path: Path) -> None:
    """spykingcircus2 shares the filtered recording with its workers: here 92 MB of floats."""
    recording, truth = simulate(duration_s=48.0, n_channels=16, n_units=3, seed=1)
    job = run_job(
        tmp_path / "job",
        {
            "SOURCE_FOLDER": str(write_binary_folder(tmp_path / "source", recording)),
            "DATA_TYPE": "binary",
            "SORTERS": "spykingcircus2",
            "SORTERS_KWARGS": '{"spykingcircus2": {"apply_motion_correction": false}}',
            "N_JOBS": "4",
        },
        launcher=SMALL_SHARED_MEMORY,
    )
    assert_succeeded(job)
    assert job.record["machine"]["shared_memory_bytes"] == 64 * 2**20
    assert_complete(job.results, ["spykingcircus2"])
    assert n_true_units_found(job.results, "spykingcircus2", truth) == 3
