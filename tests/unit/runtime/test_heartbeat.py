"""What the heartbeat of a sorter tells: the last words of its output."""

import logging
import threading
import time
from pathlib import Path

import pytest

from spikeinterface_cloud.runtime.heartbeat import LONGEST_DETAIL, Heartbeat, activity
from spikeinterface_cloud.sorting.process import last_output_line


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b"", None),
        (b"\n\n", None),
        (b"detecting peaks\nclustering\n\n", "clustering"),
        (b"whitening\nclustering:  10%\rclustering:  45%", "clustering: 45%"),
        (b"\xff broken", "\N{REPLACEMENT CHARACTER} broken"),
        (b"x\n" * 10_000 + b"the end\n", "the end"),
    ],
)
def test_last_line_of_the_output_is_found(tmp_path: Path, output: bytes, words: str | None) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(output)
    assert last_output_line(log) == words


def test_a_long_detail_is_cut() -> None:
    with Heartbeat("sort") as heartbeat, activity("simple", detail=lambda: "x" * 500):
        line = heartbeat.line()
    assert line.endswith(f"simple for 0 s ({'x' * LONGEST_DETAIL})")


def test_activity_without_detail_is_named() -> None:
    with Heartbeat("sort") as heartbeat, activity("simple", detail=lambda: None):
        assert heartbeat.line() == "sort: running for 0 s, simple for 0 s"


def test_activity_outside_a_step_has_no_effect() -> None:
    with activity("simple"):
        pass


def test_lines_of_libraries_do_not_delay_the_heartbeat(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Heartbeat("sort", interval_s=0.2):
        for _ in range(20):
            logging.getLogger("py.warnings").warning("the same warning")
            time.sleep(0.05)
    assert [message for message in caplog.messages if message.startswith("sort: running for")]


def test_steps_in_two_threads_are_both_named(caplog: pytest.LogCaptureFixture) -> None:
    """A line of one does not silence the other."""
    caplog.set_level(logging.INFO)

    def sort() -> None:
        with Heartbeat("sort", interval_s=0.2):
            time.sleep(1.0)

    thread = threading.Thread(target=sort)
    with Heartbeat("analyze", interval_s=0.2):
        thread.start()
        thread.join()
    for name in ("sort", "analyze"):
        lines = [line for line in caplog.messages if line.startswith(f"{name}: running for")]
        assert len(lines) >= 3
