"""What a job costs, by the table and the life cycle of its instance."""

from datetime import UTC, datetime

import pytest

from spikeinterface_cloud.prices import AS_OF, ON_DEMAND_USD_PER_HOUR, on_demand_usd_per_hour
from spikeinterface_cloud.results.cost import cost_of
from spikeinterface_cloud.runtime.ec2_metadata import Instance, UnknownInstance


def instance(
    instance_type: str = "g4dn.2xlarge", region: str = "us-east-1", life_cycle: str = "on-demand"
) -> Instance:
    return Instance(
        instance_type=instance_type,
        region=region,
        availability_zone=f"{region}a",
        life_cycle=life_cycle,
        identifier="i-0abc",
    )


def test_on_demand_is_paid_by_the_second() -> None:
    cost = cost_of(instance(), 1800.0)
    assert cost.usd == cost.usd_at_most == 0.376
    assert (cost.usd_per_hour, cost.reason, cost.prices_as_of) == (0.752, None, AS_OF)
    assert str(cost) == f"0.38 USD at 0.752 USD an hour ({AS_OF})"


def test_spot_costs_at_most_what_on_demand_does() -> None:
    cost = cost_of(instance(life_cycle="spot"), 3600.0)
    assert cost.usd is None
    assert cost.usd_at_most == 0.752
    assert str(cost).startswith("at most 0.75 USD: the price of Spot changes")


@pytest.mark.parametrize(
    ("unpriced", "reason"),
    [
        (instance(region="eu-central-1"), f"the price table of {AS_OF} has no g4dn.2xlarge in eu-"),
        (instance(instance_type="p9.xlarge"), f"the price table of {AS_OF} has no p9.xlarge in us"),
        (instance(life_cycle="capacity-block"), "an instance whose life cycle is capacity-block"),
        (UnknownInstance(reason="a laptop"), "a laptop"),
    ],
)
def test_what_is_not_known_is_not_guessed(
    unpriced: Instance | UnknownInstance, reason: str
) -> None:
    cost = cost_of(unpriced, 3600.0)
    assert cost.usd is cost.usd_at_most is cost.usd_per_hour is None
    assert cost.reason is not None
    assert cost.reason.startswith(reason)
    assert str(cost) == f"USD unknown: {cost.reason}"


def test_the_table_can_be_true() -> None:
    """Of one family a larger size costs more, in proportion where it is twice the same machine."""
    assert datetime.now(UTC).date() >= AS_OF
    table = ON_DEMAND_USD_PER_HOUR["us-east-1"]
    for family in ("m5", "m6i", "c5", "c6i", "r5", "r6i"):
        price = table[f"{family}.xlarge"]
        assert table[f"{family}.2xlarge"] == pytest.approx(2 * price)
        assert table[f"{family}.4xlarge"] == pytest.approx(4 * price)
    for family in ("g4dn", "g5", "g6", "g6e"):
        prices = [table[f"{family}.{size}"] for size in ("xlarge", "2xlarge", "4xlarge", "8xlarge")]
        assert prices == sorted(prices)


def test_no_price_of_an_unknown_region() -> None:
    assert on_demand_usd_per_hour("g4dn.2xlarge", "mars-1") is None
