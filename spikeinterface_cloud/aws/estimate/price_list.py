"""The prices of an estimate: from the table, from a file, or from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spikeinterface_cloud.aws.estimate.interval import Interval, exactly
from spikeinterface_cloud.aws.estimate.rates import SPOT_PART_OF_ON_DEMAND
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.prices import AS_OF, INSTANCE_SPECS, SOURCE, on_demand_prices

#: whose prices stand for a region that the table lacks
DEFAULT_REGION = "us-east-1"

UsdPerHour = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceList:
    """USD per hour by instance type, and their source."""

    on_demand: Mapping[str, float]
    #: where known; otherwise a part of the on-demand price is assumed
    spot: Mapping[str, float]
    region: str
    as_of: date | None
    source: str
    #: for the user, a sentence each
    notes: tuple[str, ...] = ()

    def spot_usd_per_hour(self, instance_type: str) -> Interval:
        """Return the Spot price, which changes by the hour and never exceeds on demand."""
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
    """Return the table's prices for a region; those of us-east-1 if the table lacks it."""
    wanted = region or DEFAULT_REGION
    known = on_demand_prices(wanted)
    used = wanted if known else DEFAULT_REGION
    note = (
        f"the price table has no {wanted}: these are the prices of {used}; most regions are more "
        "expensive, so give your own with --prices FILE or --price TYPE=USD"
    )
    return PriceList(
        on_demand=known or on_demand_prices(used),
        spot={},
        region=used,
        as_of=AS_OF,
        source=SOURCE,
        notes=() if known else (note,),
    )


def with_file(prices: PriceList, file: Path) -> PriceList:
    """Return the prices, overridden by a JSON file.

    Raises SettingsError (with every problem of the file, a line each).
    """
    try:
        own = _PriceFile.model_validate_json(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"--prices: {file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        lines = [
            f"--prices: {file}: {'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}; "
            'write it like {"on_demand": {"g4dn.2xlarge": 0.94}, "spot": {"g4dn.2xlarge": 0.4}}'
            for each in error.errors(include_url=False)
        ]
        raise SettingsError("\n".join(lines)) from error
    problems = filter(None, map(unknown_instance, {**own.on_demand, **own.spot}))
    if lines := [f"--prices: {file}: {problem}" for problem in problems]:
        raise SettingsError("\n".join(lines))
    return PriceList(
        on_demand={**prices.on_demand, **own.on_demand},
        spot={**prices.spot, **own.spot},
        region=own.region or prices.region,
        as_of=own.as_of or prices.as_of,
        source=own.source or f"{file.name}; for types that it lacks, {prices.source}",
        notes=() if own.region else prices.notes,
    )


def with_typed(prices: PriceList, typed: Mapping[str, float]) -> PriceList:
    """Return the prices, overridden by those of the command line."""
    if not typed:
        return prices
    return replace(
        prices,
        on_demand={**prices.on_demand, **typed},
        notes=(*prices.notes, f"--price gives the on-demand price of {', '.join(typed)}"),
    )


def unknown_instance(name: str) -> str | None:
    """Return the problem with the name of an instance type; None if it is known."""
    if name in INSTANCE_SPECS:
        return None
    families = sorted({known.partition(".")[0] for known in INSTANCE_SPECS})
    return (
        f"{name!r} is not an instance type of the table{nearest(name, INSTANCE_SPECS)}; it has the "
        f"families {', '.join(families)} (spikeinterface_cloud/prices.json)"
    )
