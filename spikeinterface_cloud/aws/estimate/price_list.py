"""The prices that an estimate is made with: the table's, a file's, or those that a user types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spikeinterface_cloud.aws.estimate.instances import INSTANCES
from spikeinterface_cloud.aws.estimate.interval import Interval, exactly
from spikeinterface_cloud.aws.estimate.rates import SPOT_PART_OF_ON_DEMAND
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.prices import AS_OF, ON_DEMAND_USD_PER_HOUR, SOURCE

#: whose prices are taken for a region that the table has not
DEFAULT_REGION = "us-east-1"

UsdPerHour = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceList:
    """USD an hour by instance type, and where they are from."""

    on_demand: Mapping[str, float]
    #: where they are known; elsewhere a part of the on-demand price is assumed
    spot: Mapping[str, float]
    region: str
    as_of: date | None
    source: str
    #: what the user should know, a sentence each
    notes: tuple[str, ...] = ()

    def spot_usd_per_hour(self, instance_type: str) -> Interval:
        """The price of Spot, which changes by the hour; never above that of on demand."""
        if instance_type in self.spot:
            return exactly(self.spot[instance_type])
        return SPOT_PART_OF_ON_DEMAND.value * self.on_demand[instance_type]


class _PriceFile(BaseModel):
    """A file of prices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: str | None = None
    as_of: date | None = None
    source: str | None = None
    on_demand: dict[str, UsdPerHour] = {}
    spot: dict[str, UsdPerHour] = {}


def table_prices(region: str | None) -> PriceList:
    """The prices of the table, for a region; those of another region where it has none of it."""
    wanted = region or DEFAULT_REGION
    known = wanted in ON_DEMAND_USD_PER_HOUR
    used = wanted if known else DEFAULT_REGION
    note = (
        f"the price table has no {wanted}: these are the prices of {used}; most regions ask more, "
        "and --prices FILE or --price TYPE=USD gives your own"
    )
    return PriceList(
        on_demand=ON_DEMAND_USD_PER_HOUR[used],
        spot={},
        region=used,
        as_of=AS_OF,
        source=SOURCE,
        notes=() if known else (note,),
    )


def with_file(prices: PriceList, file: Path) -> PriceList:
    """The prices, where a JSON file does not say otherwise.

    Raises
    ------
    SettingsError
        with everything that is wrong with the file, a line each.
    """
    try:
        said = _PriceFile.model_validate_json(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"--prices: {file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        lines = [
            f"--prices: {file}: {'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}; "
            'write it like {"on_demand": {"g4dn.2xlarge": 0.94}, "spot": {"g4dn.2xlarge": 0.4}}'
            for each in error.errors(include_url=False)
        ]
        raise SettingsError("\n".join(lines)) from error
    problems = [
        f"--prices: {file}: {problem}" for name in [*said.on_demand, *said.spot]
        if (problem := unknown_instance(name))
    ]  # fmt: skip
    if problems:
        raise SettingsError("\n".join(dict.fromkeys(problems)))
    return PriceList(
        on_demand={**prices.on_demand, **said.on_demand},
        spot={**prices.spot, **said.spot},
        region=said.region or prices.region,
        as_of=said.as_of or prices.as_of,
        source=said.source or f"{file.name}; for types that it lacks, {prices.source}",
        notes=() if said.region else prices.notes,
    )


def with_typed(prices: PriceList, typed: Mapping[str, float]) -> PriceList:
    """The prices, where the command line does not say otherwise."""
    if not typed:
        return prices
    return replace(
        prices,
        on_demand={**prices.on_demand, **typed},
        notes=(*prices.notes, f"--price gives the on-demand price of {', '.join(typed)}"),
    )


def unknown_instance(name: str) -> str | None:
    """What is wrong with the name of an instance type; None where it is known."""
    if name in INSTANCES:
        return None
    families = sorted({known.partition(".")[0] for known in INSTANCES})
    return (
        f"{name!r} is no instance type of the table{nearest(name, INSTANCES)}; it has the families "
        f"{', '.join(families)} (spikeinterface_cloud/prices.py)"
    )
