"""`gpu.py` as its user starts it, where there is no GPU or no time."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[3] / "benchmarks" / "gpu.py"


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROGRAM), f"--folder={folder}", *options],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_fails_without_a_cuda_device_and_says_why(tmp_path: Path) -> None:
    finished = run(tmp_path, "--checks-only")
    assert finished.returncode == 1, finished.stderr
    assert "1 failed" in finished.stdout
    assert "no CUDA device here" in (tmp_path / "gpu.md").read_text()
    [check] = json.loads((tmp_path / "gpu.json").read_text())["checks"]
    assert (check["name"], check["passed"]) == ("torch has a CUDA device", False)


def test_parts_that_are_left_out_for_lack_of_time_are_named_and_fail(tmp_path: Path) -> None:
    finished = run(tmp_path, "--device=cpu", "--quick", "--budget-s=1")
    assert finished.returncode == 1, finished.stderr
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert [list(case["missing"]) for case in written["cases"]] == [
        ["simulation", "job", "run_kilosort"],
        ["simulation", "job", "run_kilosort on half", "run_kilosort"],
    ]
    assert "left out" in (tmp_path / "gpu.md").read_text()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["gpu.json", "gpu.md"]
