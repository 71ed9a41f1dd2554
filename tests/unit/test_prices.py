"""What a job costs, by the table and the life cycle of its instance."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest
from botocore.stub import Stubber

from spikeinterface_cloud.prices import (
    AS_OF,
    FILE,
    build_usd_per_minute,
    on_demand_prices,
    on_demand_usd_per_hour,
)
from spikeinterface_cloud.results.cost import cost_of
from spikeinterface_cloud.runtime.ec2_metadata import Instance, UnknownInstance
from tools.update_prices import file_text, updated_table, usd_per_hour, usd_per_minute


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
    table = on_demand_prices("us-east-1")
    for family in ("m5", "m6i", "c5", "c6i", "r5", "r6i"):
        price = table[f"{family}.xlarge"]
        assert table[f"{family}.2xlarge"] == pytest.approx(2 * price)
        assert table[f"{family}.4xlarge"] == pytest.approx(4 * price)
    for family in ("g4dn", "g5", "g6", "g6e"):
        prices = [table[f"{family}.{size}"] for size in ("xlarge", "2xlarge", "4xlarge", "8xlarge")]
        assert prices == sorted(prices)


def test_no_price_of_an_unknown_region() -> None:
    assert on_demand_usd_per_hour("g4dn.2xlarge", "mars-1") is None


def product(usd: str, unit: str = "Hrs") -> str:
    """Return an entry of GetProducts's PriceList, cut to the attributes of one instance type."""
    return json.dumps(
        {
            "product": {
                "productFamily": "Compute Instance",
                "attributes": {
                    "instanceType": "g4dn.xlarge",
                    "regionCode": "us-east-1",
                    "operatingSystem": "Linux",
                    "tenancy": "Shared",
                    "marketoption": "OnDemand",
                    "usagetype": "BoxUsage:g4dn.xlarge",
                },
                "sku": "A1B2C3D4E5F6G7H8",
            },
            "serviceCode": "AmazonEC2",
            "terms": {
                "OnDemand": {
                    "A1B2C3D4E5F6G7H8.JRTCKXETXF": {
                        "priceDimensions": {
                            "A1B2C3D4E5F6G7H8.JRTCKXETXF.6YS6EN2CT7": {
                                "unit": unit,
                                "endRange": "Inf",
                                "description": f"${usd} per On Demand Linux g4dn.xlarge",
                                "appliesTo": [],
                                "beginRange": "0",
                                "pricePerUnit": {"USD": usd},
                            }
                        },
                        "sku": "A1B2C3D4E5F6G7H8",
                        "effectiveDate": "2026-11-01T00:00:00Z",
                        "offerTermCode": "JRTCKXETXF",
                        "termAttributes": {},
                    }
                },
                "Reserved": {},
            },
            "version": "20261101000000",
            "publicationDate": "2026-11-01T00:00:00Z",
        }
    )


#: requests that a Stubber answers; none leaves
SESSION = boto3.Session("planted", "planted", region_name="us-east-1")


def described(name: str) -> dict[str, Any]:
    """Return EC2's description of an instance type, from moto's copy."""
    file = Path(moto.__file__).parent / "ec2" / "resources" / "instance_types.json.gz"
    types: dict[str, dict[str, Any]] = json.loads(gzip.decompress(file.read_bytes()))
    return types[name]


def build_product(usage: str, usd: str) -> str:
    """Return an entry of CodeBuild's price list, cut to what names and prices it."""
    dimension = {"unit": "minutes", "pricePerUnit": {"USD": usd}}
    return json.dumps(
        {
            "product": {"attributes": {"regionCode": "us-east-1", "usagetype": usage}},
            "terms": {"OnDemand": {"A.B": {"priceDimensions": {"A.B.C": dimension}}}},
        }
    )


#: one of two pages
BUILD_PRODUCTS = [
    build_product("USE1-Build-Min:ARM:g1.medium", "0.0075"),
    build_product("USE1-Build-Min:Linux:g1.medium", "0.0110000000"),
    build_product("USE1-Build-Min:Linux:g1.large", "0.02"),
]


def test_a_minute_of_a_build_has_a_price() -> None:
    assert build_usd_per_minute("BUILD_GENERAL1_MEDIUM", "us-east-1") == 0.01
    assert build_usd_per_minute("BUILD_GENERAL1_MEDIUM", "mars-1") is None


def test_a_build_without_one_price_is_not_written() -> None:
    pricing = SESSION.client("pricing")
    with Stubber(pricing) as prices:
        prices.add_response("get_products", {"PriceList": BUILD_PRODUCTS[::2]})
        with pytest.raises(ValueError, match="BUILD_GENERAL1_MEDIUM in us-east-1: AWS lists the"):
            usd_per_minute(pricing, "BUILD_GENERAL1_MEDIUM", "us-east-1")


def test_the_table_is_renewed_from_the_price_list() -> None:
    table = json.loads(FILE.read_text())
    spec = table["instance_types"]["g4dn.xlarge"]
    table["instance_types"] = {"g4dn.xlarge": {"usd_per_hour": {"us-east-1": 9, "eu-west-1": 2}}}
    ec2, pricing = SESSION.client("ec2"), SESSION.client("pricing")
    with Stubber(ec2) as types, Stubber(pricing) as prices:
        types.add_response("describe_instance_types", {"InstanceTypes": [described("g4dn.xlarge")]})
        prices.add_response("get_products", {"PriceList": BUILD_PRODUCTS[:1], "NextToken": "2"})
        prices.add_response("get_products", {"PriceList": BUILD_PRODUCTS[1:]})
        prices.add_response("get_products", {"PriceList": [product("0.5260000000")]})
        renewed = updated_table(table, ec2, pricing, ["us-east-1"])
    assert renewed["build_usd_per_minute"] == {"BUILD_GENERAL1_MEDIUM": {"us-east-1": 0.011}}
    [new] = renewed["instance_types"].values()
    assert new == {**spec, "usd_per_hour": {"us-east-1": 0.526, "eu-west-1": 2}}
    assert renewed["as_of"] == datetime.now(UTC).date().isoformat()
    assert json.loads(file_text(renewed)) == renewed


@pytest.mark.parametrize("products", [[], [product("0.5"), product("0.6")], [product("1", "GB")]])
def test_an_ambiguous_price_is_not_written(products: list[str]) -> None:
    pricing = SESSION.client("pricing")
    with Stubber(pricing) as prices:
        prices.add_response("get_products", {"PriceList": products})
        with pytest.raises(ValueError, match=r"g4dn.xlarge in us-east-1: AWS lists the prices \["):
            usd_per_hour(pricing, "g4dn.xlarge", "us-east-1")


def test_the_file_is_written_as_the_tool_writes_it() -> None:
    text = FILE.read_text()
    assert file_text(json.loads(text)) == text
