"""What Kilosort4 is run with on layouts and at rates that its defaults are not made for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from probeinterface import (
    Probe,
    ProbeGroup,
    generate_linear_probe,
    generate_multi_columns_probe,
    generate_tetrode,
)
from probeinterface.neuropixels_tools import build_neuropixels_probe

from spikeinterface_cloud.sorting.kilosort4_parameters import (
    Layout,
    is_erased_by_a_median,
    kilosort4_parameters,
)


def layout_of(*probes: Probe) -> Layout:
    """Every probe, or every shank of one, a group."""
    positions = np.concatenate([probe.contact_positions for probe in probes])
    if len(probes) == 1 and probes[0].shank_ids is not None:
        return Layout(positions_um=positions, groups=probes[0].shank_ids)
    sizes = [probe.get_contact_count() for probe in probes]
    return Layout(positions_um=positions, groups=np.repeat(np.arange(len(probes)), sizes))


def apart(make: Callable[[], Probe], n: int, by_um: tuple[float, float]) -> list[Probe]:
    probes = []
    for index in range(n):
        probe = make()
        probe.move(np.multiply(by_um, index))
        probes.append(probe)
    return probes


def tetrodes(n: int, by_um: tuple[float, float]) -> Layout:
    return layout_of(*apart(lambda: generate_tetrode(r=15), n, by_um))


def square(n: int, pitch_um: float) -> Layout:
    return layout_of(
        generate_multi_columns_probe(
            num_columns=n, num_contact_per_column=n, xpitch=pitch_um, ypitch=pitch_um
        )
    )


def shanks(n: int, n_contacts: int, pitch_um: float) -> Layout:
    return layout_of(
        *apart(lambda: generate_linear_probe(num_elec=n_contacts, ypitch=pitch_um), n, (200.0, 0.0))
    )


def values(layout: Layout, rate_hz: float = 30_000.0, **given: Any) -> dict[str, Any]:
    return {
        name: chosen.value for name, chosen in kilosort4_parameters(layout, rate_hz, given).items()
    }


@pytest.mark.parametrize("model", ["NP1000", "NP2000", "NP2010", "NP1110", "NP1030"])
def test_neuropixels_keep_the_defaults_of_kilosort4(model: str) -> None:
    probe = build_neuropixels_probe(model)
    shank_ids = probe.shank_ids if probe.shank_ids is not None else np.zeros(len(probe.contact_ids))
    on_first_shank = np.flatnonzero(shank_ids == shank_ids[0])[:384]
    layout = Layout(
        positions_um=probe.contact_positions[on_first_shank], groups=shank_ids[on_first_shank]
    )
    assert values(layout, 30_000.07) == {}


def test_four_shanks_of_neuropixels_keep_the_defaults() -> None:
    probe = build_neuropixels_probe("NP2010")
    chosen = [np.flatnonzero(probe.shank_ids == shank)[:96] for shank in np.unique(probe.shank_ids)]
    layout = layout_of(probe.get_slice(np.concatenate(chosen)))
    assert values(layout) == {}
    without_shanks = Layout(positions_um=layout.positions_um, groups=np.zeros(384))
    assert values(without_shanks) == {}


@pytest.mark.parametrize("n", [4, 8, 16, 32])
@pytest.mark.parametrize("by_um", [(300.0, 0.0), (600.0, 0.0), (0.0, 300.0), (0.0, 600.0)])
def test_tetrodes_have_no_drift_to_correct(n: int, by_um: tuple[float, float]) -> None:
    assert values(tetrodes(n, by_um)) == {"nblocks": 0}
    [chosen] = kilosort4_parameters(tetrodes(n, by_um), 30_000.0, {}).values()
    assert "span 30 um of depth only" in chosen.reason


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (tetrodes(1, (0, 0)), {"nblocks": 0, "do_CAR": False}),
        (tetrodes(2, (300, 0)), {"nblocks": 0, "do_CAR": False}),
        (shanks(4, 8, 20.0), {"nblocks": 0}),
        (shanks(2, 32, 20.0), {}),
        (shanks(1, 32, 25.0), {"nblocks": 0}),
        (shanks(1, 64, 25.0), {}),
        (shanks(1, 64, 50.0), {"nblocks": 0}),
        (shanks(2, 1, 0.0), {"nblocks": 0, "do_CAR": False}),
        (square(16, 100.0), {"nblocks": 0}),
        (square(16, 200.0), {"nblocks": 0}),
        (square(10, 400.0), {"nblocks": 0}),
        (square(32, 42.0), {"nblocks": 0, "x_centers": 5}),
        (square(64, 17.5), {"nblocks": 0, "x_centers": 4}),
    ],
)
def test_layout_decides_the_parameters(layout: Layout, expected: dict[str, Any]) -> None:
    assert values(layout) == expected


@pytest.mark.parametrize(
    ("rate_hz", "nt"),
    [(10_000.0, 21), (12_500.0, 25), (20_000.0, 41), (25_000.0, 51), (32_000.0, 65),
     (40_000.0, 81), (24_414.0625, 49)],
)  # fmt: skip
def test_a_waveform_is_two_milliseconds_long(rate_hz: float, nt: int) -> None:
    assert values(shanks(1, 64, 20.0), rate_hz) == {"nt": nt}
    assert nt % 2 == 1


def test_given_parameters_are_not_replaced() -> None:
    given = {"nblocks": 1, "do_CAR": True, "nt": 61}
    assert values(tetrodes(1, (0, 0)), 10_000.0, **given) == {}
    assert values(square(32, 42.0), x_centers=8) == {"nblocks": 0}
    # each is of no use, or an error, with what was given
    assert values(tetrodes(4, (300, 0)), do_correction=True) == {}
    assert values(tetrodes(4, (300, 0)), do_correction=False) == {}
    assert values(shanks(1, 64, 20.0), 10_000.0, templates_from_data=False) == {}


def test_skipped_preprocessing_still_has_a_reference_and_no_drift_correction() -> None:
    skips = {"skip_kilosort_preprocessing": True}
    assert values(tetrodes(1, (0, 0)), **skips) == {"nblocks": 0, "do_CAR": False}
    [chosen] = kilosort4_parameters(shanks(1, 64, 20.0), 30_000.0, skips).values()
    assert chosen.value == 0
    assert "with its whitening, which is skipped" in chosen.reason


@pytest.mark.parametrize(("n_tetrodes", "erased"), [(1, True), (2, True), (3, False), (8, False)])
def test_common_median_is_not_used_for_tetrodes(n_tetrodes: int, erased: bool) -> None:
    layout = tetrodes(n_tetrodes, (300.0, 0.0))
    assert is_erased_by_a_median(layout) is erased
    spike = np.where(np.arange(4 * n_tetrodes) < 4, -200.0, 0.0)
    lower_median = np.sort(spike)[(len(spike) - 1) // 2]  # as torch has it
    assert lower_median == (-200.0 if erased else 0.0)


def test_groups_of_probes_are_separate() -> None:
    group = ProbeGroup()
    for probe in apart(lambda: generate_tetrode(r=15), 3, (300.0, 0.0)):
        group.add_probe(probe)
    positions = np.concatenate([probe.contact_positions for probe in group.probes])
    assert values(Layout(positions_um=positions, groups=np.zeros(12))) == {"nblocks": 0}
