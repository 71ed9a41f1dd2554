"""What a job costs, before it is submitted: the model against what others have published.

None of the figures that the model is held against here is one that its rates were made from.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import moto
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeinterface_cloud.aws.estimate import rates
from spikeinterface_cloud.aws.estimate.cost import (
    Estimate,
    EstimateRequest,
    estimate,
    result_storage,
)
from spikeinterface_cloud.aws.estimate.duration import PartTime, job_times
from spikeinterface_cloud.aws.estimate.fit import Scratch, scratch_gb
from spikeinterface_cloud.aws.estimate.interval import Interval, exactly, total
from spikeinterface_cloud.aws.estimate.price_list import (
    PriceList,
    table_prices,
    with_file,
    with_typed,
)
from spikeinterface_cloud.aws.estimate.table import estimate_text
from spikeinterface_cloud.aws.estimate.workload import Workload
from spikeinterface_cloud.aws.infra.template import default_number
from spikeinterface_cloud.config.catalog.snapshot import load_snapshot
from spikeinterface_cloud.config.catalog.validation import unknown_sorter
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.prices import INSTANCE_SPECS
from spikeinterface_cloud.runtime.disk import DISK_FACTOR
from tests.support.template import default

PRICES = table_prices(None)

#: the recording that the original's README has the cost of
ORIGINAL = Workload.from_duration(78 * 60, 384, 30_000)

#: one of AIND's four streams of mouse M489 (dandi-compute 001470, trace.txt), on 16 CPUs and a GPU
#: that is not named
M489 = Workload.from_bytes(25.5e9, 384, 30_000)


def work(
    *workloads: Workload, sorters: tuple[str, ...] = ("kilosort4",), scratch: Scratch = "nvme"
) -> EstimateRequest:
    return EstimateRequest(workloads=workloads, sorters=sorters, scratch=scratch)


def estimate_on(name: str, what: EstimateRequest, prices: PriceList = PRICES) -> Estimate:
    [only] = estimate(what, [INSTANCE_SPECS[name]], prices)
    return only


def part(name: str, parts: list[PartTime]) -> Interval:
    [seconds] = [each.seconds for each in parts if each.name == name]
    return seconds


def test_the_tutorial_of_kilosort4_takes_what_it_took_on_colab() -> None:
    """90 s of a Neuropixels probe took 194.9 s on Colab's GPU, which is taken to be a T4."""
    tutorial = Workload.from_bytes(2.08e9, 385, 30_000)
    assert tutorial.duration_s.likely == pytest.approx(90, abs=1)
    sorting = part(
        "sort with kilosort4",
        job_times(INSTANCE_SPECS["g4dn.xlarge"], tutorial, ["kilosort4"], "nvme"),
    )
    assert sorting.contains(194.9)
    assert sorting.likely == pytest.approx(194.9, rel=0.25)


@pytest.mark.parametrize("seconds", [7 * 60 + 24, 10 * 60 + 11])
def test_kilosort4_takes_what_it_took_of_aind_s_recordings(seconds: float) -> None:
    parts = job_times(INSTANCE_SPECS["g6e.4xlarge"], M489, ["kilosort4"], "nvme")
    assert part("sort with kilosort4", parts).contains(seconds)


@pytest.mark.parametrize("minutes", [4.6 + 7.4 + 5.9, 6.5 + 10.2 + 8.2])
def test_the_computing_takes_what_it_took_of_aind_s_recordings(minutes: float) -> None:
    """Their steps of preprocessing and analysis are like ours, though not the same."""
    parts = job_times(INSTANCE_SPECS["g6e.4xlarge"], M489, ["kilosort4"], "nvme")
    computing = total(
        part(name, parts) for name in ("preprocess", "sort with kilosort4", "analyze kilosort4")
    )
    assert computing.contains(60 * minutes)


def test_the_original_s_recording_costs_what_its_readme_says() -> None:
    """1.44 USD for 78 minutes on g4dn.2xlarge, on demand and with a volume for scratch.

    Which volume it had, and which sorter, is not known.
    """
    found = estimate_on("g4dn.2xlarge", work(ORIGINAL, scratch="ebs"))
    assert found.possible
    assert found.on_demand_usd.contains(1.44)


@pytest.mark.parametrize("name", ["g4dn.2xlarge", "g5.2xlarge", "g6.2xlarge", "g6e.2xlarge"])
def test_the_error_is_small_enough_to_be_of_use(name: str) -> None:
    found = estimate_on(name, work(ORIGINAL, scratch="ebs"))
    assert found.hours.high < 2.5 * found.hours.likely
    assert found.hours.low > found.hours.likely / 2.5


def test_every_rate_has_a_source() -> None:
    named = [each for each in vars(rates).values() if not isinstance(each, type)]
    found = [each for each in _rates_in(named) if isinstance(each, rates.Rate)]
    assert len(found) > 15
    for rate in found:
        assert 0 < rate.value.low <= rate.value.likely <= rate.value.high, rate
        assert rate.source
        assert rate.unit
        assert rate.as_of <= datetime.now(UTC).date()


def _rates_in(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if isinstance(value, rates.Rate):
            found.append(value)
        elif isinstance(value, dict):
            found += _rates_in(value.values())
        elif isinstance(value, tuple):
            found += _rates_in(value)
    return found


def test_instances_are_as_aws_describes_them() -> None:
    file = Path(moto.__file__).parent / "ec2" / "resources" / "instance_types.json.gz"
    described = json.loads(gzip.decompress(file.read_bytes()))
    for name, instance in INSTANCE_SPECS.items():
        info = described[name]
        gpus = info.get("GpuInfo", {}).get("Gpus", [])
        disks = info.get("InstanceStorageInfo", {}).get("Disks", [])
        network = info["NetworkInfo"]["NetworkCards"][0]["BaselineBandwidthInGbps"]
        assert instance.vcpus == info["VCpuInfo"]["DefaultVCpus"]
        assert instance.memory_gib * 1024 == info["MemoryInfo"]["SizeInMiB"]
        assert instance.gpu == (gpus[0]["Name"] if gpus else None)
        assert instance.n_gpus == sum(gpu["Count"] for gpu in gpus)
        assert instance.nvme_gb == sum(disk["SizeInGB"] * disk["Count"] for disk in disks)
        assert instance.network_gbps == pytest.approx(network, rel=1e-3)
        volumes = info["EbsInfo"]["EbsOptimizedInfo"]
        assert instance.ebs_mb_s == volumes["BaselineThroughputInMBps"]
        assert instance.ebs_burst_mb_s == volumes["MaximumThroughputInMBps"]


def test_every_instance_has_a_price_and_every_gpu_a_speed() -> None:
    assert all("us-east-1" in each.usd_per_hour for each in INSTANCE_SPECS.values())
    assert {each.gpu for each in INSTANCE_SPECS.values() if each.gpu} == set(rates.KILOSORT4)


def test_every_usual_sorter_can_be_estimated() -> None:
    assert set(load_snapshot().usual) == set(rates.KNOWN_SORTERS)
    assert unknown_sorter("kilosort44", load_snapshot().sorters, load_snapshot().usual).endswith(
        "did you mean kilosort4?"
    )


def test_the_disk_is_what_the_job_asks_for_itself() -> None:
    assert scratch_gb(ORIGINAL) == pytest.approx(DISK_FACTOR * ORIGINAL.fetched_gb)


@pytest.mark.parametrize(
    ("name", "sorter", "obstacle"),
    [
        ("m5.2xlarge", "kilosort4", "kilosort4 needs a GPU"),
        ("g4dn.2xlarge", "kilosort4", "disk of 225 GB, 248 GB needed (--scratch ebs)"),
        ("c5.xlarge", "kilosort4", "memory of 8 GiB (7.4 usable), at least 7.7 GiB needed"),
    ],
)
def test_obstacles_are_reported(name: str, sorter: str, obstacle: str) -> None:
    found = estimate_on(name, work(ORIGINAL, sorters=(sorter,)))
    assert not found.possible
    assert any(each.startswith(obstacle) for each in found.obstacles)


def test_remarks_are_reported() -> None:
    [remark] = estimate_on("g5.2xlarge", work(ORIGINAL)).remarks
    assert remark.startswith("memory may be short (up to ")
    idle = estimate_on("g5.8xlarge", work(ORIGINAL, sorters=("simple",)))
    assert idle.remarks == ("its GPU is paid for but not used",)
    several = estimate_on("g5.12xlarge", work(ORIGINAL))
    assert several.remarks[-1] == "one of its 4 GPUs is used"


@pytest.mark.parametrize(
    ("name", "hours", "sorter", "memory"),
    [
        ("g5.4xlarge", 1.0, "kilosort4", None),
        ("g5.4xlarge", 1.5, "kilosort4", 36),
        ("g5.4xlarge", 5, "kilosort4", 58),  # AWS keeps some of its 64 GiB
        ("g5.2xlarge", 1.5, "kilosort4", None),  # it has no more than the job gets
        ("m6id.4xlarge", 14, "tridesclous2", 36),
    ],
)
def test_memory_above_that_of_the_stack_s_jobs_has_to_be_asked_for(
    name: str, hours: float, sorter: str, memory: int | None
) -> None:
    recording = Workload.from_duration(hours * 3600, 384, 30_000)
    remarks = estimate_on(name, work(recording, sorters=(sorter,), scratch="ebs")).remarks
    asked = [each.partition("--memory ")[2] for each in remarks if "--memory" in each]
    assert asked == ([f"{memory}GiB"] if memory else [])


def test_time_above_that_of_the_stack_s_attempts_has_to_be_asked_for() -> None:
    assert not [each for each in estimate_on("g5.2xlarge", work(ORIGINAL)).remarks if "--t" in each]
    long = Workload.from_duration(10 * 3600, 384, 30_000)
    found = estimate_on("g5.4xlarge", work(ORIGINAL, long, scratch="ebs"))
    hours = -int(-found.longest_hours.high // 1)
    assert found.remarks[-1] == (
        f"may take {hours} h, but ends after 12 h: submit with --timeout {hours}h"
    )


def test_defaults_of_the_stack_s_jobs_are_those_of_the_template() -> None:
    for name in ("JobMemoryMiB", "CpuJobMemoryMiB", "JobTimeoutSeconds", "JobVcpus", "CpuJobVcpus"):
        assert default_number(name) == default(name)


def test_of_many_recordings_those_that_do_not_fit_are_counted() -> None:
    short = Workload.from_duration(600, 384, 30_000)
    found = estimate_on("g4dn.2xlarge", work(short, ORIGINAL, short))
    assert found.obstacles == (
        "disk of 225 GB, 248 GB needed (--scratch ebs), for 1 of 3 recordings",
    )


def test_cost_of_many_recordings_is_the_sum() -> None:
    short = Workload.from_duration(600, 384, 30_000)
    both = estimate_on("g5.2xlarge", work(short, ORIGINAL))
    apart = [estimate_on("g5.2xlarge", work(each)) for each in (short, ORIGINAL)]
    assert both.on_demand_usd.likely == pytest.approx(
        sum(each.on_demand_usd.likely for each in apart)
    )
    assert both.longest_hours == apart[1].hours
    assert [each.name for each in both.parts] == [each.name for each in apart[0].parts]


def test_two_sorters_share_all_but_sorting_and_analysis() -> None:
    one = estimate_on("g5.2xlarge", work(ORIGINAL))
    two = estimate_on("g5.2xlarge", work(ORIGINAL, sorters=("kilosort4", "simple")))
    names = [each.name for each in two.parts]
    assert names[:3] == ["start", "fetch", "preprocess"]
    assert names[3:] == [
        f"{part} {sorter}"
        for sorter in ("kilosort4", "simple")
        for part in ("sort with", "analyze", "publish")
    ]
    assert (
        two.hours.likely
        < one.hours.likely
        + estimate_on("g5.2xlarge", work(ORIGINAL, sorters=("simple",))).hours.likely
    )


def test_the_cheapest_is_first_and_the_impossible_last() -> None:
    found = estimate(work(ORIGINAL), INSTANCE_SPECS.values(), PRICES)
    assert len(found) == len(INSTANCE_SPECS)
    possible = [each.possible for each in found]
    assert possible == sorted(possible, reverse=True)
    usd = [each.on_demand_usd.likely for each in found if each.possible]
    assert usd == sorted(usd)


def test_a_volume_for_scratch_is_paid_for_and_slower_than_own_disks() -> None:
    nvme = estimate_on("g5.2xlarge", work(ORIGINAL))
    ebs = estimate_on("g5.2xlarge", work(ORIGINAL, scratch="ebs"))
    assert ebs.hours.likely > nvme.hours.likely
    price = PRICES.on_demand["g5.2xlarge"]
    of_volumes = ebs.on_demand_usd.likely - ebs.hours.likely * price
    expected = (100 + scratch_gb(ORIGINAL)) * 0.08 / 730 * ebs.hours.likely
    assert of_volumes == pytest.approx(expected)


def test_the_network_of_a_small_instance_holds_the_fetching_back() -> None:
    fetching = {
        name: part("fetch", job_times(INSTANCE_SPECS[name], ORIGINAL, ["simple"], "ebs")).likely
        for name in ("m5.xlarge", "m5.4xlarge")
    }
    assert fetching["m5.xlarge"] == pytest.approx(ORIGINAL.fetched_gb * 1000 / 125)  # its volume
    assert fetching["m5.xlarge"] >= fetching["m5.4xlarge"]


def test_a_compressed_file_holds_more_than_its_bytes() -> None:
    raw, nwb = (
        Workload.from_bytes(1e9, 384, 30_000, name=name) for name in ("a.ap.bin", "sub-1/A.NWB")
    )
    assert raw.samples_gb == exactly(1.0)
    assert (nwb.fetched_gb, nwb.samples_gb.low) == (1.0, 1.0)
    assert nwb.samples_gb.high > nwb.samples_gb.likely > 1.0


def test_results_are_kept_at_a_price() -> None:
    size_gb, usd = result_storage(work(ORIGINAL, sorters=("kilosort4", "simple")))
    single, _ = result_storage(work(ORIGINAL))
    assert size_gb.likely == pytest.approx(2 * single.likely)
    assert usd.likely == pytest.approx(size_gb.likely * 0.023)


def test_spot_is_never_above_on_demand() -> None:
    for found in estimate(work(ORIGINAL), INSTANCE_SPECS.values(), PRICES):
        assert found.spot_usd.low < found.spot_usd.likely < found.on_demand_usd.likely
        assert found.spot_usd.high == pytest.approx(found.on_demand_usd.high)


def test_region_without_prices_is_reported() -> None:
    elsewhere = table_prices("eu-central-1")
    assert elsewhere.region == "us-east-1"
    [note] = elsewhere.notes
    assert note.startswith("the price table has no eu-central-1: these are the prices of us-east-1")
    assert table_prices("us-east-1").notes == ()


def test_a_file_and_typed_prices_win_over_the_table(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text(
        '{"region": "eu-central-1", "as_of": "2026-11-01", "source": "our contract",'
        ' "on_demand": {"g4dn.2xlarge": 0.94}, "spot": {"g4dn.2xlarge": 0.4}}'
    )
    ours = with_file(table_prices("eu-central-1"), file)
    assert (ours.region, ours.source, ours.notes) == ("eu-central-1", "our contract", ())
    assert ours.on_demand["g4dn.2xlarge"] == 0.94
    assert ours.on_demand["g5.2xlarge"] == PRICES.on_demand["g5.2xlarge"]
    assert ours.spot_usd_per_hour("g4dn.2xlarge") == exactly(0.4)
    found = estimate_on("g4dn.2xlarge", work(ORIGINAL, scratch="ebs"), ours)
    default = estimate_on("g4dn.2xlarge", work(ORIGINAL, scratch="ebs"))
    gained = found.on_demand_usd.likely - default.on_demand_usd.likely
    assert gained == pytest.approx((0.94 - 0.752) * found.hours.likely)
    assert with_typed(ours, {"g4dn.2xlarge": 2.0}).on_demand["g4dn.2xlarge"] == 2.0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "the file: Invalid JSON"),
        ('{"ondemand": {}}', "ondemand: Extra inputs are not permitted"),
        ('{"on_demand": {"g4dn.2xlarge": -1}}', "on_demand.g4dn.2xlarge: Input should be greater"),
        ('{"on_demand": {"g4dn.2xlarge": "dear"}}', "on_demand.g4dn.2xlarge: Input should be a va"),
        ('{"spot": {"g4dn.2xlage": 1}}', "'g4dn.2xlage' is not an instance type of the table; did"),
    ],
)
def test_a_bad_file_of_prices_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "prices.json"
    file.write_text(content)
    with pytest.raises(SettingsError) as refusal:
        with_file(PRICES, file)
    assert str(refusal.value).startswith(f"--prices: {file}: {problem}")
    assert "\n" not in str(refusal.value)


def test_a_missing_file_of_prices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"prices\.json cannot be read: No such file"):
        with_file(PRICES, tmp_path / "prices.json")


def test_table_states_the_accuracy_of_the_estimate() -> None:
    what = work(ORIGINAL)
    found = estimate(what, INSTANCE_SPECS.values(), PRICES)
    text = estimate_text(found, what, PRICES)
    rows = text.splitlines()
    assert rows[0] == (
        "the recording: 108 GB, 1.3 hours of 384 channels at 30 kHz; sorted with kilosort4"
    )
    names = [row.split()[0] for row in rows[3 : 3 + len(INSTANCE_SPECS)]]
    assert sorted(names) == sorted(INSTANCE_SPECS)
    assert "cannot run it: disk of 225 GB, 248 GB needed (--scratch ebs)" in text
    assert f"on {found[0].instance.name}, in minutes" in text
    assert "Spot is assumed to cost 0.50 (0.30-1.0) of that, unless --prices gives a Spot" in text
    known = replace(PRICES, spot=dict.fromkeys(INSTANCE_SPECS, 0.5))
    assert "Spot is assumed" not in estimate_text(
        estimate(what, INSTANCE_SPECS.values(), known), what, known
    )
    for origin in ("measured here, 2026-", "assumed, 2026-"):
        assert origin in text
    assert "published by others, 2026-" in estimate_text(
        [estimate_on("g4dn.8xlarge", what)], what, PRICES
    )


@given(
    size_gb=st.floats(0.01, 5000),
    name=st.sampled_from(sorted(INSTANCE_SPECS)),
    sorter=st.sampled_from(sorted(rates.KNOWN_SORTERS)),
    scratch=st.sampled_from(["nvme", "ebs"]),
)
def test_more_to_sort_never_takes_less(
    size_gb: float, name: str, sorter: str, scratch: Scratch
) -> None:
    small, large = (
        estimate_on(
            name, work(Workload.from_bytes(size, 384, 30_000), sorters=(sorter,), scratch=scratch)
        )
        for size in (size_gb * 1e9, size_gb * 2e9)
    )
    for one in (small, large):
        assert 0 < one.hours.low < one.hours.likely < one.hours.high
        assert one.spot_usd.low < one.on_demand_usd.likely
    assert small.hours.likely < large.hours.likely
    assert small.on_demand_usd.likely < large.on_demand_usd.likely
