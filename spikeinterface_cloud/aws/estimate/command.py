"""From the options of `estimate` to what the job costs, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import click

from spikeinterface_cloud.aws.cli.estimate_options import check_options, typed_prices
from spikeinterface_cloud.aws.estimate import table
from spikeinterface_cloud.aws.estimate.cost import Estimate, Work, estimate
from spikeinterface_cloud.aws.estimate.fit import Scratch
from spikeinterface_cloud.aws.estimate.instances import INSTANCES, Instance
from spikeinterface_cloud.aws.estimate.price_list import (
    PriceList,
    table_prices,
    unknown_instance,
    with_file,
    with_typed,
)
from spikeinterface_cloud.aws.estimate.rates import KNOWN_SORTERS
from spikeinterface_cloud.aws.estimate.workload import Recorded, from_bytes, from_duration
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.config.catalog.snapshot import known_names
from spikeinterface_cloud.config.catalog.validation import unknown_sorter
from spikeinterface_cloud.config.parsing import parse_names
from spikeinterface_cloud.errors import SettingsError

DEFAULT_SORTERS = "kilosort4"


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimated:
    """What was asked, and what came of it."""

    work: Work
    prices: PriceList
    estimates: list[Estimate]

    def text(self) -> str:
        """The estimates for people."""
        return table.estimate_text(self.estimates, self.work, self.prices)

    def values(self) -> dict[str, Any]:
        """The estimates for programs."""
        return table.estimate_values(self.estimates, self.work, self.prices)


def estimate_work(
    given: Mapping[str, Any], environ: Mapping[str, str], session: AwsSession
) -> Estimated:
    """Estimate what the options, by parameter, ask for; what can be refused is refused first.

    Raises
    ------
    click.UsageError
        Options are missing, or do not go together.
    SettingsError, SourceError, AwsError, TransferError, UnavailableError
        A sorter or price is wrong, or a size cannot be looked up.
    """
    check_options(given)
    instances = _instances(given)
    sorters = _sorters(given["sorters"] or environ.get("SORTERS") or DEFAULT_SORTERS)
    prices = _prices(given)
    recordings, notes = _recordings(given, environ, session)
    work = Work(recordings=recordings, sorters=sorters, scratch=_scratch(given["scratch"]))
    return Estimated(
        work=work,
        prices=replace(prices, notes=(*notes, *prices.notes)),
        estimates=estimate(work, instances, prices),
    )


def _instances(given: Mapping[str, Any]) -> list[Instance]:
    priced = typed_prices(given)
    for name in (*given["instance_type"], *priced):
        if problem := unknown_instance(name):
            raise click.UsageError(f"{problem}.")
    return [INSTANCES[name] for name in dict.fromkeys(given["instance_type"] or INSTANCES)]


def _sorters(text: str) -> tuple[str, ...]:
    """The sorters to estimate. Raises SettingsError with what is wrong of each, a line each."""
    try:
        names = parse_names(text)
    except ValueError as error:
        raise SettingsError(f"SORTERS: {error}") from error
    assert isinstance(names, tuple)
    sorters: tuple[str, ...] = tuple(dict.fromkeys(names))
    known, usual = known_names().sorters, known_names().usual
    problems = [_sorter_problem(name, known, usual) for name in sorters]
    if any(problems) or not sorters:
        raise SettingsError("\n".join(filter(None, problems)) or "SORTERS: no name; give one")
    return sorters


def _sorter_problem(name: str, known: Mapping[str, Any], usual: Any) -> str | None:
    if name in KNOWN_SORTERS:
        return None
    if name in known:
        return (
            f"SORTERS: nobody has measured {name} in a way that tells its cost; an estimate is "
            f"there for {', '.join(KNOWN_SORTERS)}"
        )
    return f"{unknown_sorter(name, known, usual)}; an estimate is there for " + ", ".join(
        KNOWN_SORTERS
    )


def _prices(given: Mapping[str, Any]) -> PriceList:
    prices = table_prices(given["region"])
    if given["prices"]:
        prices = with_file(prices, Path(given["prices"]))
    return with_typed(prices, typed_prices(given))


def _recordings(
    given: Mapping[str, Any], environ: Mapping[str, str], session: AwsSession
) -> tuple[tuple[Recorded, ...], tuple[str, ...]]:
    """What is to be sorted, and what the user should know of it."""
    channels, rate = given["channels"], given["sampling_rate"]
    if given["duration"]:
        return (from_duration(given["duration"], channels, rate),), ()
    if given["size"]:
        return (from_bytes(given["size"], channels, rate),), ()
    from spikeinterface_cloud.aws.inputs.sizes import find_sizes

    found = find_sizes(given, environ, session)
    recordings = tuple(
        from_bytes(each.size_bytes, channels, rate, name=each.name, label=each.label)
        for each in found.recordings
    )
    return recordings, found.notes


def _scratch(text: str) -> Scratch:
    [scratch] = [each for each in get_args(Scratch) if each == text]
    chosen: Scratch = scratch
    return chosen
