"""An export on a disk that fills at any moment: the job ends with 69 and the remedy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.exports import export_truth
from tests.support.recordings import simulate

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:.*(NaN|could not be computed|not serializable).*"),
]

#: starts a command with a small file system at $DISK
SMALL_DISK = [
    *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
    'mount -t tmpfs -o size=40m none "$DISK" && exec "$@"',
    "sh",
]

#: exports with less and less space for it, and prints how each export ended
PROGRAM = """
import json, os, shutil, sys
from pathlib import Path
import spikeinterface as si
from spikeinterface_cloud.errors import UnavailableError
from spikeinterface_cloud.exports.export import Sorted, export, plan_exports

format, original, disk = sys.argv[1], Path(sys.argv[2]), Path(os.environ["DISK"])
recording = si.load(original.parent / "preprocessed")
results, filler = disk / "results", disk / "filler"
shutil.copytree(original, results)
plan = plan_exports([format], recording, {}, results)
found = Sorted(sorter="simple", version=None, recording=recording)

def used():
    state = os.statvfs(disk)
    return (state.f_blocks - state.f_bfree) * state.f_frsize

before = used()
[run] = export(plan, found)
assert run.error is None, run.error
needed, path = used() - before, results / run.path
for step in range(12):
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    state = os.statvfs(disk)
    filler.write_bytes(bytes(state.f_bavail * state.f_frsize - needed * step // 12 // 4096 * 4096))
    try:
        ended = [run.error for run in export(plan, found)]
    except UnavailableError as error:
        ended = str(error)
    print(json.dumps([ended, path.exists(), sorted(map(str, path.parent.glob(".*")))]))
    filler.unlink()
"""


@pytest.mark.parametrize("name", ["phy", "nwb"])
def test_full_disk_ends_with_the_remedy(tmp_path: Path, name: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    environ = os.environ | {"DISK": str(disk)}
    if subprocess.run([*SMALL_DISK, "true"], env=environ).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system in a namespace of its own")
    recording, truth = simulate(duration_s=5.0, n_channels=16, n_units=4)
    export_truth([], recording, truth, tmp_path / "results")
    command = [*SMALL_DISK, sys.executable, "-c", PROGRAM, name, str(tmp_path / "results")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(ends) == 12
    for ended, left, unfinished in ends:
        assert isinstance(ended, str), ended
        assert ended.startswith("the disk of the results is full: ")
        assert ended.endswith("give RESULTS_FOLDER a disk with more space")
        assert not left, "half an export would be taken for a whole one"
        assert unfinished == []
