"""A job that works long without a word shows life all the same; one that talks is left alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]

#: a step of two parts, and one that logs by itself, as programs that the job's own modules run in
SILENT = """
import time
from spikeinterface_cloud.runtime.logging import configure_logging, part, step

configure_logging()
with step("analyze simple", [], heartbeat_s=0.5) as analyzing:
    with part("waveforms"):
        time.sleep(1.2)
    time.sleep(0.7)
    analyzing.size_bytes = 4096
time.sleep(1.0)
"""
TALKATIVE = """
import logging, time
from spikeinterface_cloud.runtime.logging import configure_logging, step

configure_logging()
logger = logging.getLogger("spikeinterface_cloud.storage.download")
with step("fetch", [], heartbeat_s=0.5):
    for number in range(8):
        time.sleep(0.2)
        logger.info("line %d", number)
"""
NESTED = """
import time
from spikeinterface_cloud.runtime.logging import configure_logging, step

configure_logging()
with step("outer", [], heartbeat_s=0.4), step("inner", [], heartbeat_s=0.4):
    time.sleep(1.0)
"""
FAILING = """
import threading, time
from spikeinterface_cloud.runtime.logging import configure_logging, step

configure_logging()
try:
    with step("fetch", [], heartbeat_s=0.2):
        time.sleep(0.3)
        raise OSError("gone")
except OSError:
    print([thread.name for thread in threading.enumerate()])
"""


def run(program: str) -> tuple[list[str], str]:
    """Return the messages of the program's log, without time and level, and its output."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [line.split(maxsplit=2)[2] for line in done.stderr.splitlines()], done.stdout


@pytest.fixture(scope="module")
def silent() -> list[str]:
    return run(SILENT)[0]


def test_silent_step_logs_activity_and_duration(silent: list[str]) -> None:
    assert silent[0] == "analyze simple ..."
    for line in silent[1:3]:
        assert re.fullmatch(r"analyze simple: running for [01] s, waveforms for [01] s", line)


def test_finished_part_is_no_longer_named(silent: list[str]) -> None:
    assert re.fullmatch(r"waveforms took 1\.\d s", silent[3])
    assert silent[4] == "analyze simple: running for 2 s"


def test_the_heartbeat_ends_with_its_step(silent: list[str]) -> None:
    assert len(silent) == 6
    assert re.fullmatch(r"analyze simple done in [12]\.\d s, 4\.0 KiB", silent[5])


def test_step_that_logs_has_no_heartbeat() -> None:
    lines, _ = run(TALKATIVE)
    assert lines[1:-1] == [f"line {number}" for number in range(8)]


def test_nested_step_logs_for_both() -> None:
    lines, _ = run(NESTED)
    beats = [line for line in lines if "running for" in line]
    assert len(beats) == 2
    assert all(line.startswith("inner: ") for line in beats)


def test_failed_step_leaves_no_thread() -> None:
    lines, output = run(FAILING)
    assert output.strip() == "['MainThread']"
    assert re.fullmatch(r"fetch stopped after 0\.\d s", lines[-1])
