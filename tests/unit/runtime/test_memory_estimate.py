"""Which recordings are refused, or warned of, for the memory that there is."""

import pytest

from spikeinterface_cloud.errors import UnavailableError
from spikeinterface_cloud.runtime.memory_estimate import (
    Extent,
    analysis_bytes,
    check_memory,
    extent_of_files,
    extent_of_recording,
    fits_beside_analysis,
    sorting_bytes,
)

GIB = 1024**3


def neuropixels(hours: float) -> Extent:
    return extent_of_recording(384, hours * 3600, 30_000.0)


def test_estimate_matches_the_published_figure() -> None:
    needed = sorting_bytes("kilosort4", neuropixels(13))
    assert needed is not None
    assert 300e9 < needed < 305e9


def test_one_hour_fits_into_known_sufficient_memory() -> None:
    assert check_memory(["kilosort4"], neuropixels(1), n_workers=4, usable_bytes=32 * GIB) == []


def test_long_recording_gives_a_warning_with_figures_and_remedy() -> None:
    [concern] = check_memory(["kilosort4"], neuropixels(4), n_workers=4, usable_bytes=30 * GIB)
    assert concern == (
        "kilosort4 needs about 89.0 GiB of memory for 1,536.0 channel-hours (estimated to within a "
        "factor of 4), but only 30.0 GiB are available; if it is killed, use an instance with "
        "more memory and request it (spikeinterface-cloud --memory)"
    )


def test_recording_far_beyond_the_memory_is_refused() -> None:
    with pytest.raises(UnavailableError, match="too little in any case") as raised:
        check_memory(["simple", "kilosort4"], neuropixels(13), n_workers=4, usable_bytes=30 * GIB)
    assert raised.value.exit_code == 69
    assert "use an instance with more memory" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_fewer_workers_are_offered_as_a_remedy() -> None:
    [concern] = check_memory(["simple"], neuropixels(0.5), n_workers=16, usable_bytes=10 * GIB)
    assert concern.startswith("the analysis needs about 12.8 GiB")
    assert concern.endswith("or set N_JOBS below 16")


def test_other_sorters_are_estimated_by_the_analysis_only() -> None:
    assert sorting_bytes("spykingcircus2", neuropixels(13)) is None
    assert check_memory(["spykingcircus2"], neuropixels(1), n_workers=1, usable_bytes=8 * GIB) == []


@pytest.mark.parametrize(
    ("sorter", "hours", "gib", "fits"),
    [
        ("kilosort4", 0.5, 24, True),
        ("kilosort4", 0.5, 20, False),  # though each of them fits
        ("kilosort4", 1.0, 32, False),
        ("spykingcircus2", 1.0, 16, True),
        ("spykingcircus2", 1.0, 15, False),  # whose analysis takes more than a half
    ],
)
def test_a_sorter_runs_beside_an_analysis_if_both_fit(
    sorter: str, hours: float, gib: int, fits: bool
) -> None:
    assert fits_beside_analysis(sorter, neuropixels(hours), 4, gib * GIB) == fits


def test_file_size_gives_the_hours_of_neuropixels() -> None:
    extent = extent_of_files(384 * 2 * 30_000 * 3600)
    assert extent.channel_hours == pytest.approx(384.0)
    assert extent.error_factor > neuropixels(1).error_factor


def test_compressed_or_wide_samples_are_not_refused() -> None:
    """A size that would be refused as an open recording is not yet, as little is known of it."""
    files = extent_of_files(13 * 384 * 2 * 30_000 * 3600)
    assert len(check_memory(["kilosort4"], files, n_workers=1, usable_bytes=60 * GIB)) == 1
    with pytest.raises(UnavailableError):
        check_memory(["kilosort4"], neuropixels(13), n_workers=1, usable_bytes=60 * GIB)


def test_faster_samples_count_for_more() -> None:
    slow = extent_of_recording(64, 3600.0, 15_000.0)
    fast = extent_of_recording(64, 3600.0, 30_000.0)
    assert fast.channel_hours == 2 * slow.channel_hours
    assert analysis_bytes(fast, 1) > analysis_bytes(slow, 1)
