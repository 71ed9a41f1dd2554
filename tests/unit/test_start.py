"""The start of a job, before its imports."""

import os
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "run_script.py"

SETTINGS = {"TEST_WITH_TOY_RECORDING": "yes", "SORTERS": "simple"}


def started(folder: Path, settings: dict[str, str]) -> subprocess.Popen[str]:
    """Start a job that lists what it imports on standard error."""
    return subprocess.Popen(
        [sys.executable, "-X", "importtime", str(PROGRAM)],
        cwd=folder,
        env={**os.environ, "RESULTS_FOLDER": str(folder / "results"), **settings},
        stderr=subprocess.PIPE,
        text=True,
    )


def is_import(line: str, package: str) -> bool:
    return line.startswith("import time:") and line.split("|")[-1].strip() == package


def test_wrong_settings_are_refused_before_the_imports(tmp_path: Path) -> None:
    with started(tmp_path, SETTINGS | {"PREPROCESSING": "["}) as process:
        _, log = process.communicate(timeout=60)
    lines = log.splitlines()
    assert process.returncode == os.EX_CONFIG
    assert [line for line in lines if "ERROR   PREPROCESSING: " in line]
    assert [line for line in lines if is_import(line, "pydantic")]
    assert not [line for line in lines if is_import(line, "numpy")]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_job_that_is_stopped_during_the_imports_is_retried(
    tmp_path: Path, number: signal.Signals
) -> None:
    with started(tmp_path, SETTINGS) as process:
        assert process.stderr is not None
        seen = list(takewhile(lambda line: not is_import(line, "numpy"), process.stderr))
        process.send_signal(number)
        seen += process.stderr
    assert process.returncode == os.EX_TEMPFAIL
    assert [line for line in seen if " starts" in line]
    assert not [line for line in seen if is_import(line, "spikeinterface")]
