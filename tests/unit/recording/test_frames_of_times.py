"""Times are found again among the samples, and only where there are samples."""

import numpy as np

from spikeinterface_cloud.recording.clock.clock import Clock
from spikeinterface_cloud.recording.clock.sample_times import evenly_spaced, join

RATE_HZ = 30_000.0
STEP_S = 1 / RATE_HZ


def test_times_are_found_in_the_segment_and_frame_of_their_sample() -> None:
    first = evenly_spaced(10.0, 90_000, STEP_S)
    second = join([evenly_spaced(20.0, 300, STEP_S), evenly_spaced(21.0, 300, STEP_S)])
    clock = Clock(segments=[first, second], sampling_frequency_hz=RATE_HZ, shifts_s=[0.0, 0.5])
    wanted = {0: [0, 1, 44_444, 89_999], 1: [0, 299, 300, 599]}
    times_s = np.concatenate(
        [clock.times_s(n, np.array(frames), RATE_HZ) for n, frames in wanted.items()]
    )
    early = times_s + 0.4 * STEP_S
    for given in (times_s, times_s[::-1], early, times_s - 0.4 * STEP_S):
        assert [found.tolist() for found in clock.frames(given)] == list(wanted.values())


def test_times_without_a_sample_have_no_frame() -> None:
    times = join([evenly_spaced(1.0, 300, STEP_S), evenly_spaced(2.0, 300, STEP_S)])
    clock = Clock(segments=[times], sampling_frequency_hz=RATE_HZ, shifts_s=[0.0])
    without = np.array([0.0, 1.0 - STEP_S, 1.5, 2.0 - STEP_S, 2.0 + 300 * STEP_S, 9.0])
    assert [len(found) for found in clock.frames(without)] == [0]
    assert [len(found) for found in clock.frames(np.empty(0))] == [0]


def test_a_sample_with_two_times_is_found_once() -> None:
    clock = Clock(
        segments=[evenly_spaced(0.0, 300, STEP_S)], sampling_frequency_hz=RATE_HZ, shifts_s=[0.0]
    )
    found = clock.frames(np.array([100.1, 99.9]) * STEP_S)
    assert [each.tolist() for each in found] == [[100]]
