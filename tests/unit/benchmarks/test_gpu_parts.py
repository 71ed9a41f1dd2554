"""The time that parts of `gpu.py` get, and readings of a card, by a stand-in of `nvidia-smi`."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from gpu_budget import Budget
from gpu_usage import Sample, Sampler, Usage, sampled
from table import measure

CARD = "GPU-1"


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Install a program that prints a line again and again, as `nvidia-smi -lms` does."""

    def install(line: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f'#!/bin/sh\nwhile :; do echo "{line}"; sleep 0.02; done\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return install


def readings(card: str | None, n_samples: int) -> list[Sample]:
    """Return the readings of a card, after so many or two seconds."""
    with sampled(card) as sampler:
        deadline = time.monotonic() + 2
        while len(sampler.samples) < n_samples and time.monotonic() < deadline:
            time.sleep(0.01)
    return sampler.samples


def test_card_is_read_until_the_block_is_left(nvidia_smi: Callable[[str], None]) -> None:
    nvidia_smi("50, 1024")
    samples = readings(CARD, 3)
    assert len(samples) >= 3
    assert {(each.busy_share, each.used_bytes) for each in samples} == {(0.5, 2**30)}


def test_messages_and_unknown_figures_are_no_readings(nvidia_smi: Callable[[str], None]) -> None:
    nvidia_smi("No devices were found")
    assert readings(CARD, 1) == []
    nvidia_smi("[N/A], [N/A]")
    [first, *_] = readings(CARD, 1)
    assert (first.busy_share, first.used_bytes) == (None, None)


def test_nothing_is_read_without_a_card_or_without_the_program(
    nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nvidia_smi("50, 1024")
    assert readings(None, 0) == []
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert readings(CARD, 0) == []


def test_busy_share_is_the_mean_of_the_readings_between_two_times() -> None:
    figures = [(1.0, 0.9, 5), (2.0, 0.2, 7), (3.0, None, 6), (4.0, 0.4, None), (5.0, 0.0, 9)]
    sampler = Sampler([Sample(time_s=t, busy_share=b, used_bytes=u) for t, b, u in figures])
    usage = sampler.between(2.0, 4.0)
    assert (usage.busy_share, usage.peak_used_bytes) == (pytest.approx(0.3), 7)
    assert sampler.between(6.0, 7.0) == Usage(busy_share=None, peak_used_bytes=None)


def test_each_part_has_its_share_and_what_the_parts_before_it_left() -> None:
    now = 100.0
    budget = Budget(80.0, {"first": 1.0, "second": 3.0, "third": 4.0}, clock=lambda: now)
    assert [budget.left_s(part) for part in ("first", "second", "third")] == [10, 40, 80]
    now = 104.0
    assert budget.left_s("second") == 36
    now = 150.0
    assert budget.left_s("second") < 0
    assert budget.left_s("third") == 30


def test_command_whose_time_is_up_is_killed_with_what_it_started(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        measure(["sh", "-c", "sleep 60 & echo $!; wait"], {}, tmp_path, timeout_s=1.0)
    started = int((tmp_path / "output-of-the-command.log").read_text())
    deadline = time.monotonic() + 5
    while psutil.pid_exists(started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(started) or psutil.Process(started).status() == "zombie"


def test_command_in_time_is_measured(tmp_path: Path) -> None:
    taken = measure([sys.executable, "-c", "sum(range(10**6))"], {}, tmp_path, timeout_s=60.0)
    assert 0 < taken.cpu_s <= 1.5 * taken.wall_s
    with pytest.raises(RuntimeError, match="ended with 3"):
        measure([sys.executable, "-c", "raise SystemExit(3)"], {}, tmp_path, timeout_s=60.0)
