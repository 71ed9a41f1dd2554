"""The next sorter runs while the units of this one are analyzed, and ends with the job."""

import subprocess
import sys
import threading

import pytest

from spikeinterface_cloud.errors import Interrupted
from spikeinterface_cloud.sorting.ahead import ended_early, one_ahead
from spikeinterface_cloud.storage.thread_pool import Stopped

#: what takes longer hangs
PATIENCE_S = 30.0


class Preparation:
    """Notes what was begun, and doubles its number."""

    def __init__(self) -> None:
        self.begun = {number: threading.Event() for number in range(4)}

    def __call__(self, number: int) -> int:
        self.begun[number].set()
        if number == 3:
            raise ValueError("three")
        return 2 * number


def test_the_next_one_is_prepared_while_this_one_is_worked_on() -> None:
    prepare = Preparation()
    with one_ahead(prepare, [0, 1, 2], lambda _: True) as in_turn:
        for number, doubled in in_turn:
            assert doubled == 2 * number
            assert number == 2 or prepare.begun[number + 1].wait(PATIENCE_S)
            assert not prepare.begun[min(number + 2, 3)].is_set(), "two ahead"


def test_one_that_does_not_fit_waits_until_this_one_is_done() -> None:
    prepare = Preparation()
    with one_ahead(prepare, [0, 1, 2], lambda number: number == 2) as in_turn:
        assert next(in_turn) == (0, 0)
        assert not prepare.begun[1].wait(0.1)
        assert next(in_turn) == (1, 2)
        assert prepare.begun[2].wait(PATIENCE_S)


def test_what_a_preparation_raises_is_raised_in_its_turn() -> None:
    prepare = Preparation()
    with one_ahead(prepare, [0, 3, 1], lambda _: True) as in_turn:
        assert next(in_turn) == (0, 0)
        assert prepare.begun[3].wait(PATIENCE_S)
        with pytest.raises(ValueError, match="three"):
            next(in_turn)
    assert not prepare.begun[1].is_set()


@pytest.mark.parametrize("error", [OSError, Interrupted])
def test_a_process_under_way_ends_with_the_job(error: type[BaseException]) -> None:
    """And nothing is begun after it."""
    waiting = threading.Event()
    outcomes: list[int | str] = []

    def run(number: int) -> None:
        if number == 0:
            return
        for _ in range(2):  # the groups of a recording
            process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            try:
                with ended_early(process.kill):
                    waiting.set()
                    outcomes.append(process.wait(PATIENCE_S))
            except Stopped:
                outcomes.append("stopped")
                raise
            finally:
                process.kill()
                process.wait()

    def work() -> None:
        with one_ahead(run, [0, 1], lambda _: True) as in_turn:
            next(in_turn)
            assert waiting.wait(PATIENCE_S)
            raise error

    with pytest.raises(error):
        work()
    assert outcomes == [-9, "stopped"]


def test_outside_of_a_job_nothing_is_ended() -> None:
    with ended_early(lambda: pytest.fail("ended")):
        pass
