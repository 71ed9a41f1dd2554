"""Edges of digital words and of thresholded signals, whatever the chunks."""

from collections.abc import Iterator

import numpy as np
import pytest

from spikeinterface_cloud.recording.sync.edges import HysteresisThreshold, find_edges


def in_chunks(samples: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def edges_one_by_one(states: np.ndarray) -> tuple[list[int], list[int]]:
    """The frames where a line rises and falls, found sample by sample."""
    rising, falling = [], []
    for frame in range(1, len(states)):
        if states[frame] and not states[frame - 1]:
            rising.append(frame)
        if states[frame - 1] and not states[frame]:
            falling.append(frame)
    return rising, falling


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_edges_of_all_lines_are_found_whatever_the_chunks(size: int) -> None:
    rng = np.random.default_rng(3)
    words = np.repeat(rng.integers(0, 2**16, (400, 2), dtype="uint16"), rng.integers(1, 9, 400), 0)
    edges, left_out = find_edges(in_chunks(words, size))
    assert not left_out
    assert list(edges) == list(range(32))
    for line, found in edges.items():
        states = (words[:, line // 16] >> (line % 16)) & 1
        rising, falling = edges_one_by_one(states)
        assert found.rising.tolist() == rising
        assert found.falling.tolist() == falling
        assert found.high_at_start == bool(states[0])
        assert found.high_at_end == bool(states[-1])


def test_a_line_that_stays_low_is_missing_and_one_that_stays_high_has_no_edge() -> None:
    edges, _ = find_edges(in_chunks(np.full((50, 1), 0b100, dtype="uint16"), 20))
    [(line, found)] = edges.items()
    assert line == 2
    assert not len(found.rising)
    assert not len(found.falling)
    assert found.high_at_start
    assert found.high_at_end


def test_a_line_that_changes_too_often_is_left_out_alone() -> None:
    words = np.zeros((1000, 1), dtype="uint16")
    words[::2] |= 1
    words[300:400] |= 2
    edges, left_out = find_edges(in_chunks(words, 64), max_rises=100)
    assert left_out == [0]
    assert edges[1].rising.tolist() == [300]
    assert list(edges) == [1]


def thresholded_one_by_one(signal: np.ndarray, rise_at: float, fall_at: float) -> list[bool]:
    states, is_high = [], False
    for value in signal:
        if value >= rise_at:
            is_high = True
        elif value <= fall_at:
            is_high = False
        states.append(is_high)
    return states


@pytest.mark.parametrize("size", [1, 13, 4000])
@pytest.mark.parametrize("fall_at", [100.0, 40.5, -900.0])
def test_a_threshold_keeps_its_state_within_the_hysteresis(size: int, fall_at: float) -> None:
    rng = np.random.default_rng(5)
    signal = np.cumsum(rng.normal(0, 30, 3000)).clip(-1000, 1000).astype("int16")
    threshold = HysteresisThreshold(100.0, fall_at)
    states = np.concatenate([threshold(chunk) for chunk in in_chunks(signal, size)])
    assert states.tolist() == thresholded_one_by_one(signal, 100.0, fall_at)
    assert 0 < np.count_nonzero(states) < len(states)
