"""What `gpu.py` concludes from its figures: the checks, the report and the rate."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from gpu_cases import CHECKED, PROBE
from gpu_figures import NEEDS_CUDA, SORT_STEP, Agreement, Figures, checks
from gpu_report import ONLY_WITH_CUDA, count, markdown, rate_entry
from gpu_usage import Usage
from table import Taken

from spikeinterface_cloud.aws.estimate.interval import Interval
from spikeinterface_cloud.aws.estimate.rates import Rate

GIB = 2**30

MACHINE: dict[str, Any] = {
    "cpus": 4,
    "memory_bytes": 16 * GIB,
    "gpu": {"name": "Tesla T4", "memory_bytes": 15 * GIB, "uuid": "GPU-1", "driver": "580.1"},
    "why_no_gpu": None,
    "cuda_of_driver": "13.0",
    "cuda_of_torch": "13.0",
    "versions": {"kilosort": "4.1.7", "torch": "2.13.0"},
}
WITHOUT_GPU = {**MACHINE, "gpu": None, "why_no_gpu": "no CUDA device here"}


def taken(wall_s: float) -> Taken:
    return Taken(wall_s=wall_s, cpu_s=wall_s, peak_memory_mib=100.0, written_mib=0.0)


def record(**sorter: Any) -> dict[str, Any]:
    """Return the parts of `run.json` that are read."""
    entry = {
        "outcome": "sorted",
        "tries": [],
        "peak_memory_bytes": 3 * GIB,
        "peak_gpu_memory_bytes": 2 * GIB,
    }
    steps = [{"name": "fetch", "seconds": 0.5}, {"name": SORT_STEP, "seconds": 50.0}]
    return {"sorters": [{**entry, **sorter}], "steps": steps}


def good(**changes: Any) -> Figures:
    """Return figures that pass every check, but for the changes."""
    values = {
        "case": CHECKED,
        "job": taken(80.0),
        "record": record(),
        "bare": taken(48.0),
        "bare_gpu_bytes": 2 * GIB,
        "job_truth": {"mean_accuracy": 0.95, "n_true_units": 20, "n_found": 19},
        "bare_truth": {"mean_accuracy": 0.951, "n_true_units": 20, "n_found": 19},
        "agreement": Agreement(n_job=20, n_bare=20, n_same=19),
        "usage": {SORT_STEP: Usage(busy_share=0.62, peak_used_bytes=3 * GIB)},
    }
    return Figures(**{**values, **changes})


def failed(figures: Figures, gpu_bytes: int | None = 15 * GIB) -> list[str]:
    return [each.name for each in checks(figures, gpu_bytes) if each.passed is False]


def test_good_figures_pass_every_check() -> None:
    assert count(checks(good(), 15 * GIB)) == {"passed": 10, "failed": 0, "open": 0}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"missing": {"job": "ended with 70"}}, "job ends"),
        ({"missing": {"run_kilosort": "stopped"}}, "run_kilosort ends"),
        ({"record": record(outcome="no_units")}, "first try"),
        ({"record": record(tries=[{}, {}])}, "first try"),
        ({"job_truth": {"mean_accuracy": 0.95, "n_true_units": 20, "n_found": 15}}, "16 of 20"),
        ({"job_truth": {"mean_accuracy": 0.9, "n_true_units": 20, "n_found": 17}}, "as accurate"),
        ({"agreement": Agreement(n_job=20, n_bare=20, n_same=17)}, "90% of the units"),
        ({"agreement": Agreement(n_job=40, n_bare=20, n_same=20)}, "90% of the units"),
        ({"bare": taken(17.0)}, "1.1 times run_kilosort"),
        ({"record": record(peak_memory_bytes=13 * GIB)}, "host memory"),
        ({"record": record(peak_memory_bytes=GIB // 2)}, "host memory"),
        ({"record": record(peak_gpu_memory_bytes=None)}, "GPU memory"),
        ({"usage": {SORT_STEP: Usage(busy_share=0.0, peak_used_bytes=1)}}, "computes"),
    ],
)
def test_a_bad_figure_fails_its_check(changes: dict[str, Any], words: str) -> None:
    assert any(words in name for name in failed(good(**changes)))


def test_mean_accuracy_may_be_lower_by_its_tolerance_or_by_one_unit() -> None:
    assert failed(good(job_truth={"mean_accuracy": 0.9, "n_true_units": 20, "n_found": 18})) == []


def test_job_of_other_samples_is_not_compared_unit_by_unit() -> None:
    names = [each.name for each in checks(good(case=PROBE), None)]
    assert not any("% of the units" in name for name in names)


def test_what_only_a_gpu_shows_is_not_made_on_the_cpu() -> None:
    on_cpu = [each for each in checks(good(), None) if each.found == NEEDS_CUDA]
    assert [each.passed for each in on_cpu] == [None, None]


def test_checks_without_figures_are_not_made() -> None:
    figures = Figures(case=CHECKED, missing={"job": "left out", "run_kilosort": "left out"})
    assert count(checks(figures, 15 * GIB)) == {"passed": 0, "failed": 2, "open": 6}


def test_report_names_card_driver_cuda_versions_figures_and_what_is_missing() -> None:
    figures = good(missing={"run_kilosort on half": "stopped after 40 s, when its time was up"})
    report = markdown(MACHINE, [figures], checks(figures, 15 * GIB), "cuda")
    for text in (
        "# Kilosort4 on T4",
        "Tesla T4, 15.0 GiB",
        "580.1, for CUDA 13.0",
        "| kilosort | 4.1.7 |",
        "10 checks passed, 0 failed, 0 not made",
        "| - fetch | 0.5 s |",
        "(goal 1.05) | 1.04 |",
        "| GPU busy: sort with kilosort4 | 62% |",
        "| peak GPU memory of Kilosort4 (torch) | 2.00 GiB |",
        "not measured: stopped after 40 s",
    ):
        assert text in report
    assert ONLY_WITH_CUDA not in report


def test_report_from_the_cpu_says_what_is_only_real_with_cuda() -> None:
    assert ONLY_WITH_CUDA in markdown(WITHOUT_GPU, [good()], [], "cpu")


@pytest.fixture
def entry() -> Callable[..., str | None]:
    def made(machine: dict[str, Any], device: str, half_s: float = 40.0) -> str | None:
        figures = good(case=PROBE, bare=taken(70.0), bare_half=taken(half_s))
        return rate_entry(machine, figures, date(2026, 11, 29), device)

    return made


def test_rate_can_be_put_into_the_table_as_it_is(entry: Callable[..., str]) -> None:
    text = entry(MACHINE, "cuda")
    table = eval(f"{{\n{text}\n}}", {"Rate": Rate, "Interval": Interval, "date": date})  # noqa: S307
    assert list(table) == ["T4"]
    rate = table["T4"]
    per_gb = 30.0 / (PROBE.size_gb / 2)
    assert rate.value.likely == pytest.approx(per_gb, abs=0.05)
    assert rate.value.low < rate.value.likely < rate.value.high
    assert (rate.unit, rate.origin, rate.as_of) == ("s per GB", "measured here", date(2026, 11, 29))
    assert "KILOSORT4_FIXED there, for comparison: 10 s here" in text


def test_card_of_no_instance_type_is_named(entry: Callable[..., str]) -> None:
    other = {**MACHINE, "gpu": {**MACHINE["gpu"], "name": "NVIDIA H200"}}
    assert "no instance type of prices.json has a H200" in entry(other, "cuda")
    assert "no instance type" not in entry(MACHINE, "cuda")


def test_nothing_from_the_cpu_is_a_rate(entry: Callable[..., str | None]) -> None:
    assert "NOT to be entered" in str(entry(WITHOUT_GPU, "cpu"))
    assert "in KILOSORT4 of" not in str(entry(WITHOUT_GPU, "cpu"))


def test_longer_recording_that_took_no_longer_gives_no_rate(
    entry: Callable[..., str | None],
) -> None:
    assert entry(MACHINE, "cuda", half_s=71.0) is None
