"""Fitted times are those of the file to half a sample, and gaps are distinguished from jitter."""

import numpy as np
import pytest

from spikeinterface_cloud.recording.clock.fit import CHUNK_FRAMES, fit_block_times, fit_timestamps
from spikeinterface_cloud.recording.clock.sample_times import SampleTimes, cut, evenly_spaced, join
from spikeinterface_cloud.recording.clock.timestamps import BlockTimes

RATE_HZ = 30000.0
N_FRAMES = 200_000


def fit(times_s: np.ndarray, n_frames: int | None = None) -> SampleTimes:
    chunks = (times_s[a : a + CHUNK_FRAMES] for a in range(0, len(times_s), CHUNK_FRAMES))
    fitted = fit_timestamps(chunks, n_frames or len(times_s), RATE_HZ, "timestamps")
    assert fitted is not None
    return fitted


def largest_error(fitted: SampleTimes, times_s: np.ndarray) -> float:
    """In samples."""
    return float(np.abs(fitted.at(np.arange(len(times_s))) - times_s).max() * RATE_HZ)


def even(rate_hz: float = RATE_HZ, n_frames: int = N_FRAMES) -> np.ndarray:
    return np.arange(n_frames) / rate_hz


def lost(frame: int, n_samples: int, *, n_frames: int = N_FRAMES) -> np.ndarray:
    """Return sample counts in seconds, with `n_samples` missing before a frame."""
    counts = np.arange(n_frames) + 600_000
    counts[frame:] += n_samples
    return counts / RATE_HZ


@pytest.mark.parametrize("n_samples", [1, 2, 63, 21_000, 10**9, -90_000, -1])
@pytest.mark.parametrize("frame", [1, 31, 32, 5000, N_FRAMES - 1])
def test_gaps_of_any_length_are_found_anywhere(frame: int, n_samples: int) -> None:
    times = lost(frame, n_samples)
    fitted = fit(times)
    (gap,) = fitted.gaps
    assert gap.frame == frame
    assert gap.begin_s == pytest.approx(20.0 + frame / RATE_HZ, abs=1e-7)
    assert gap.length_s == pytest.approx(n_samples / RATE_HZ, abs=1e-7)
    assert largest_error(fitted, times) < 1e-3
    assert len(fitted.frames) < N_FRAMES / 400


@pytest.mark.parametrize("frame", [CHUNK_FRAMES - 1, CHUNK_FRAMES, CHUNK_FRAMES + 1])
def test_a_gap_at_the_end_of_a_chunk_is_found(frame: int) -> None:
    times = lost(frame, 7, n_frames=CHUNK_FRAMES + 1000)
    fitted = fit(times)
    assert [(gap.frame, round(gap.length_s * RATE_HZ, 3)) for gap in fitted.gaps] == [(frame, 7)]
    assert largest_error(fitted, times) < 1e-3


def test_many_gaps_are_found_one_by_one() -> None:
    times = even()
    frames = np.arange(1, 60) * 3000 - 17
    for frame in frames:
        times[frame:] += 256 / RATE_HZ
    fitted = fit(times)
    assert [gap.frame for gap in fitted.gaps] == frames.tolist()
    assert largest_error(fitted, times) < 1e-3
    assert 1 / fitted.interval_s == pytest.approx(RATE_HZ, rel=1e-9)


@pytest.mark.parametrize("rate_hz", [29_999.7, 30_000.0, 30_303.0])
def test_a_rate_other_than_the_header_s_is_no_gap(rate_hz: float) -> None:
    times = even(rate_hz)
    fitted = fit(times)
    assert fitted.gaps == ()
    assert 1 / fitted.interval_s == pytest.approx(rate_hz, rel=1e-9)
    assert largest_error(fitted, times) < 1e-3


def test_a_drifting_clock_is_followed() -> None:
    times = even() + 0.01 * np.sin(even() * 0.6)
    fitted = fit(times)
    assert fitted.gaps == ()
    assert largest_error(fitted, times) < 0.5


@pytest.mark.parametrize("digits", [6, 5, 4, 3])
def test_rounding_neither_makes_nor_hides_gaps(digits: int) -> None:
    """With 3 digits, 30 samples in a row have the same time."""
    times = np.round(even(), digits)
    assert fit(times).gaps == ()
    times[123_456:] += 0.7
    fitted = fit(times)
    (gap,) = fitted.gaps
    assert gap.frame == pytest.approx(123_456, abs=60)
    assert gap.length_s == pytest.approx(0.7, abs=0.002)
    assert largest_error(fitted, times) <= 0.5


@pytest.mark.parametrize("jitter", [0.05, 0.2, 2.0])
def test_jitter_neither_makes_nor_hides_gaps(jitter: float) -> None:
    """In samples."""
    times = even() + np.random.default_rng(0).normal(0, jitter / RATE_HZ, N_FRAMES)
    assert fit(times).gaps == ()
    times[123_456:] += 0.7
    fitted = fit(times)
    assert [gap.length_s for gap in fitted.gaps] == pytest.approx([0.7], abs=0.001)
    assert largest_error(fitted, times) <= 0.5


def test_large_jitter_is_noted() -> None:
    assert fit(even()).notes == ()
    assert fit(np.round(even(), 6)).notes == ()
    (note,) = fit(np.round(even(), 3)).notes
    assert "the timestamps jitter by 0.0002" in note


def test_one_wrong_timestamp_is_no_gap() -> None:
    times = even()
    times[1000] = 0.0
    assert fit(times).gaps == ()


def test_seconds_since_1970_have_no_gaps() -> None:
    assert fit(1.7e9 + even()).gaps == ()


def test_times_continue_evenly_after_the_last_timestamp() -> None:
    fitted = fit(lost(50_000, 21_000)[:100_000], 150_000)
    assert fitted.end_s == pytest.approx(20 + 171_000 / RATE_HZ)
    (note,) = fitted.notes
    assert "end 50000 samples before the traces" in note


def test_constant_timestamps_are_ignored() -> None:
    assert fit_timestamps([np.full(1000, -1.0)], 1000, RATE_HZ, "timestamps") is None
    assert fit_timestamps([np.empty(0)], 1000, RATE_HZ, "timestamps") is None


def test_nan_timestamps_are_refused() -> None:
    times = even(n_frames=1000)
    times[[3, 5]] = np.nan
    with pytest.raises(ValueError, match="2 timestamps are NaN or infinite"):
        fit_timestamps([times], 1000, RATE_HZ, "timestamps")


@pytest.mark.parametrize("n_still", [3_600, 30_000, 40_000])
@pytest.mark.parametrize("begin", [0, 1000, CHUNK_FRAMES - 2_000])
def test_timestamps_that_stand_still_are_refused(begin: int, n_still: int) -> None:
    times = 5 + even(n_frames=CHUNK_FRAMES + 50_000)
    times[begin : begin + n_still] = 0.0
    match = f"{n_still} samples from {begin} on have the same timestamp"
    with pytest.raises(ValueError, match=match):
        fit(times)


def test_coarse_timestamps_are_taken() -> None:
    """Of whole seconds, of milliseconds, and of 32-bit floats after a day."""
    assert fit(np.floor(even())).end_s == pytest.approx(N_FRAMES / RATE_HZ, abs=1.0)
    assert fit(np.floor(1000 * even()) / 1000).gaps == ()
    floats = (86_400 + even()).astype("float32").astype("float64")
    assert fit(floats).end_s == pytest.approx(86_400 + N_FRAMES / RATE_HZ, abs=0.01)


def test_timestamps_in_no_order_are_refused() -> None:
    times = np.random.default_rng(0).uniform(0, 1000, N_FRAMES)
    with pytest.raises(ValueError, match="in no order"):
        fit(times)


@pytest.mark.parametrize("are_counts", [False, True])
def test_block_timestamps_are_fitted(are_counts: bool) -> None:
    """Rounded to microseconds, with a loss before the 50th."""
    frames = np.arange(100) * 512
    truth = 5 + frames / RATE_HZ
    truth[50:] += 0.002
    blocks = BlockTimes(
        origin="records", frames=frames, times_s=np.round(truth, 6), are_counts=are_counts
    )
    fitted = fit_block_times(blocks, 100 * 512, RATE_HZ)
    assert fitted is not None
    (gap,) = fitted.gaps
    assert gap.frame == 50 * 512
    assert gap.length_s == pytest.approx(0.002, abs=2e-6)
    times = 5 + np.arange(100 * 512) / RATE_HZ + 0.002 * (np.arange(100 * 512) >= 50 * 512)
    assert largest_error(fitted, times) < 0.1


def test_a_pause_before_every_block_is_a_gap() -> None:
    frames = np.arange(5) * 30_000
    blocks = BlockTimes(origin="fragments", frames=frames, times_s=1.5 * np.arange(5.0))
    fitted = fit_block_times(blocks, 150_000, RATE_HZ)
    assert fitted is not None
    assert [gap.length_s for gap in fitted.gaps] == pytest.approx([0.5] * 4)
    assert fitted.intervals_s()[1] == pytest.approx((1.5, 2.5))


def test_cut_times_keep_their_gaps() -> None:
    times = lost(50_000, 21_000, n_frames=100_000)
    part = cut(fit(times), 30_000, 70_000)
    np.testing.assert_allclose(part.at(np.arange(40_000)), times[30_000:70_000], atol=1e-9)
    assert [gap.frame for gap in part.gaps] == [20_000]
    assert cut(fit(times), 60_000, 70_000).gaps == ()
    np.testing.assert_allclose(
        part.intervals_s(), [(21, 21 + 2 / 3), (22 + 11 / 30, 23 + 1 / 30)], atol=1e-9
    )


def test_joined_segments_have_a_gap_where_their_clocks_do_not_meet() -> None:
    parts = [evenly_spaced(begin_s, 30_000, 1 / RATE_HZ, "counts") for begin_s in (0.0, 1.0, 2.5)]
    joined = join(parts)
    assert [(gap.frame, gap.length_s) for gap in joined.gaps] == [(60_000, pytest.approx(0.5))]
    times = np.concatenate([part.at(np.arange(30_000)) for part in parts])
    np.testing.assert_allclose(joined.at(np.arange(90_000)), times, atol=1e-9)


def test_fractions_of_a_frame_count_from_its_start() -> None:
    fitted = fit(lost(50_000, 21_000, n_frames=100_000))
    assert fitted.at([49_999.5]) == pytest.approx([20 + 49_999.5 / RATE_HZ])
