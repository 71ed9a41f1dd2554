"""The zoo of broken recordings reports what a job must not do, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.zoo.outcomes import Outcome, classify
from tools.zoo.processes import Ended

pytestmark = [pytest.mark.integration, pytest.mark.sorting]

ROOT = Path(__file__).parents[2]

#: sorts a wrong recording without a word, or fails as no job may
FAULTY_PROGRAM = f"""
import json, os, runpy, sys

sys.path.insert(0, {str(ROOT)!r})

if os.environ["DATA_TYPE"] == "mda":
    raise ValueError("a bug")
kwargs = json.loads(os.environ["READ_RECORDING_KWARGS"])
os.environ["READ_RECORDING_KWARGS"] = json.dumps(kwargs | {{"gain_to_uV": 0.5}})
runpy.run_path({str(ROOT / "run_script.py")!r}, run_name="__main__")
"""


def run_zoo(folder: Path, only: str, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run cases of the zoo: its exit code, and its verdicts by layout."""
    file = folder / "verdicts.jsonl"
    command = [sys.executable, "-m", "tools.zoo", "--part", "1/1", "--only", only]
    options = (*options, "--verdicts", str(file))
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert file.is_file(), done.stdout + done.stderr
    verdicts = [json.loads(line) for line in file.read_text().splitlines()]
    return done.returncode, {verdict["layout"]: verdict for verdict in verdicts}


def test_whole_and_empty_recordings_are_judged_right(tmp_path: Path) -> None:
    code, verdicts = run_zoo(tmp_path, "^White Matter / whole|^MountainSort / empty")
    assert verdicts["White Matter"]["outcome"] == Outcome.RIGHT
    assert verdicts["MountainSort"]["outcome"] == Outcome.REFUSED
    assert verdicts["MountainSort"]["exit_code"] == 65
    assert code == 0


def test_wrong_success_and_traceback_are_reported(tmp_path: Path) -> None:
    program = tmp_path / "faulty.py"
    program.write_text(FAULTY_PROGRAM)
    code, verdicts = run_zoo(
        tmp_path, "^(White Matter|MountainSort) / whole", "--program", str(program)
    )
    assert verdicts["White Matter"]["outcome"] == Outcome.WRONG
    assert "gain_to_uv is [0.5, 0.5] instead of" in verdicts["White Matter"]["message"]
    assert verdicts["MountainSort"]["outcome"] == Outcome.TRACEBACK
    assert verdicts["MountainSort"]["message"] == "ValueError: a bug"
    assert code == 1


@pytest.mark.parametrize(
    ("exit_code", "log", "outcome"),
    [
        (None, "2026-01-01T00:00:00Z INFO    fetch ...", Outcome.TIMEOUT),
        (-9, "", Outcome.TRACEBACK),
        (65, "no line of an error", Outcome.TRACEBACK),
    ],
)
def test_ends_without_a_cause_are_faults(
    tmp_path: Path, exit_code: int | None, log: str, outcome: Outcome
) -> None:
    ended = Ended(exit_code=exit_code, seconds=1.0, cpu_s=1.0)
    found, _ = classify(ended, log, tmp_path, None, None)  # type: ignore[arg-type]
    assert found == outcome
