"""The process of a sorter ends with its job, whatever the sorter is doing."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import spikeinterface as si
from spikeinterface.sorters import read_sorter_folder

from spikeinterface_cloud.sorting.process import run_in_subprocess
from spikeinterface_cloud.sorting.worker import SorterRequest
from tests.support.recordings import simulate, write_binary_folder

pytestmark = pytest.mark.integration

#: in place of SpikeInterface in the sorter's process: compiled code that keeps the GIL, in it and
#: in a worker of it
SORTER = """
import ctypes, os
os.fork()
with open("pids", "a") as pids:
    print(os.getpid(), file=pids)
ctypes.PyDLL(None).sleep(600)
"""

JOB = """
import os
from pathlib import Path
import spikeinterface as si
from spikeinterface_cloud.sorting.process import run_in_subprocess
from spikeinterface_cloud.sorting.worker import SorterRequest

recording = si.generate_recording(num_channels=4, durations=[1.0])
os.environ["PYTHONPATH"] = os.path.abspath("fake")
request = SorterRequest(
    sorter="simple", recording_file="scratch/recording.json", folder="scratch/sorter",
    parameters={}, n_jobs=1, usage_file="scratch/usage.json",
)
run_in_subprocess(recording, request, Path("logs"))
"""


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(("device", "seen"), [("cpu", ""), ("cuda", "0")])
def test_sorter_on_the_cpu_sees_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, seen: str
) -> None:
    fake = tmp_path / "fake" / "spikeinterface"  # in place of SpikeInterface, in the process alone
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("import os; print(repr(os.environ['CUDA_VISIBLE_DEVICES']))")
    monkeypatch.setenv("PYTHONPATH", str(fake.parent))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    request = SorterRequest(
        sorter="kilosort4",
        recording_file=str(tmp_path / "scratch" / "recording.json"),
        folder=str(tmp_path / "scratch" / "sorter"),
        parameters={"torch_device": device},
        n_jobs=1,
        usage_file=str(tmp_path / "scratch" / "usage.json"),
    )
    recording = si.generate_recording(num_channels=4, durations=[1.0])
    result = run_in_subprocess(recording, request, tmp_path / "logs")
    assert result.trace.splitlines()[0] == repr(seen)


def sorted_spikes(
    folder: Path, recording: si.BaseRecording, seed: int | None, sorter: str = "simple"
) -> np.ndarray:
    request = SorterRequest(
        sorter=sorter,
        recording_file=str(folder / "scratch" / "recording.json"),
        folder=str(folder / "scratch" / "sorter"),
        parameters={"seed": seed},
        n_jobs=1,
        usage_file=str(folder / "scratch" / "usage.json"),
    )
    assert run_in_subprocess(recording, request, folder / "logs").exit_status == 0
    spikes: np.ndarray = read_sorter_folder(request.folder).to_spike_vector()
    return spikes


@pytest.mark.filterwarnings("ignore:The extractor is not serializable")
def test_sorter_finds_the_same_spikes_again(tmp_path: Path) -> None:
    """`simple` scales channels by random excerpts, which its own seed does not cover."""
    simulated, _ = simulate(duration_s=20.0, n_channels=8)
    recording = si.load(write_binary_folder(tmp_path / "recording", simulated))
    one, same, other, any_seed, another = (
        sorted_spikes(tmp_path / name, recording, seed)
        for name, seed in {"1": 0, "2": 0, "3": 1, "4": None, "5": None}.items()
    )
    assert len(one) > 0
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert not np.array_equal(any_seed, another)
    circus, again = (
        sorted_spikes(tmp_path / name, recording, 0, "spykingcircus2") for name in ("6", "7")
    )
    assert len(circus) > 0
    assert np.array_equal(circus, again)


def test_sorter_that_keeps_the_gil_ends_with_its_killed_job(tmp_path: Path) -> None:
    fake = tmp_path / "fake" / "spikeinterface"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text(SORTER)
    pids = tmp_path / "pids"
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    job = subprocess.Popen([sys.executable, "-c", JOB], cwd=tmp_path, env=environ)
    try:
        assert wait_until(lambda: pids.is_file() and pids.read_text().count("\n") == 2, 60)
    finally:
        job.kill()
        job.wait()
    sorter = [int(pid) for pid in pids.read_text().split()]
    ended = wait_until(lambda: not any(map(is_running, sorter)), 10)
    for pid in filter(is_running, sorter):
        psutil.Process(pid).kill()
    assert ended, "the sorter outlived its job"
