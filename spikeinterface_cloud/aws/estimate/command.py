"""The `estimate` command: from its options to the cost on each instance type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from spikeinterface_cloud.aws.cli.estimate_options import typed_prices
from spikeinterface_cloud.aws.cli.values import EstimateOptions
from spikeinterface_cloud.aws.estimate.cost import Estimate, EstimateRequest, estimate
from spikeinterface_cloud.aws.estimate.price_list import (
    PriceList,
    table_prices,
    unknown_instance,
    with_file,
    with_typed,
)
from spikeinterface_cloud.aws.estimate.rates import KNOWN_SORTERS
from spikeinterface_cloud.aws.estimate.workload import Workload
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.config.catalog.snapshot import load_snapshot
from spikeinterface_cloud.config.catalog.validation import unknown_sorter
from spikeinterface_cloud.config.parsing import parse_names
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.prices import INSTANCE_SPECS, InstanceSpec

DEFAULT_SORTERS = "kilosort4"


def estimate_jobs(
    options: EstimateOptions, environ: Mapping[str, str], session: AwsSession
) -> tuple[list[Estimate], EstimateRequest, PriceList]:
    """Estimate the jobs that the options describe, which are checked before any request to AWS.

    Raises click.UsageError (options are missing, or exclude each other) and SettingsError,
    SourceError, AwsError, TransferError, UnavailableError (a sorter or price is wrong, or a size
    cannot be looked up).
    """
    instances = _instances(options)
    sorters = _sorters(options.sorters or environ.get("SORTERS") or DEFAULT_SORTERS)
    prices = _prices(options)
    workloads, notes = _workloads(options, environ, session)
    request = EstimateRequest(workloads=workloads, sorters=sorters, scratch=options.scratch)
    estimates = estimate(request, instances, prices)
    return estimates, request, replace(prices, notes=(*notes, *prices.notes))


def _instances(options: EstimateOptions) -> list[InstanceSpec]:
    names = options.instance_type
    for name in (*names, *typed_prices(options)):
        if problem := unknown_instance(name):
            raise click.UsageError(f"{problem}.")
    return [INSTANCE_SPECS[name] for name in dict.fromkeys(names or INSTANCE_SPECS)]


def _sorters(text: str) -> tuple[str, ...]:
    """Return the sorters to estimate; raise SettingsError with a line for each problem."""
    try:
        names = parse_names(text)
    except ValueError as error:
        raise SettingsError(f"SORTERS: {error}") from error
    assert isinstance(names, tuple)
    sorters: tuple[str, ...] = tuple(dict.fromkeys(names))
    problems = [_sorter_problem(name) for name in sorters if name not in KNOWN_SORTERS]
    if problems or not sorters:
        raise SettingsError("\n".join(problems) or "SORTERS: no name; give one")
    return sorters


def _sorter_problem(name: str) -> str:
    known = load_snapshot()
    problem = (
        f"SORTERS: the speed of {name} is unknown"
        if name in known.sorters
        else unknown_sorter(name, known.sorters, known.usual)
    )
    return f"{problem}; estimates are available for {', '.join(KNOWN_SORTERS)}"


def _prices(options: EstimateOptions) -> PriceList:
    prices = table_prices(options.region)
    if options.prices:
        prices = with_file(prices, Path(options.prices))
    return with_typed(prices, typed_prices(options))


def _workloads(
    options: EstimateOptions, environ: Mapping[str, str], session: AwsSession
) -> tuple[tuple[Workload, ...], tuple[str, ...]]:
    """Return the recordings, and notes on them for the user."""
    channels, rate_hz = options.channels, options.sampling_rate
    if options.duration:
        return (Workload.from_duration(options.duration, channels, rate_hz),), ()
    if options.size:
        return (Workload.from_bytes(options.size, channels, rate_hz),), ()
    from spikeinterface_cloud.aws.inputs.sizes import find_sizes

    env_file = click.get_current_context().params["env_file"]
    sizes, notes = find_sizes(options.source, options, environ, env_file, session)
    workloads = tuple(
        Workload.from_bytes(
            each.size_bytes,
            each.samples.n_channels if each.samples else channels,
            rate_hz,
            name=each.name,
            label=each.label,
            n_values=each.samples.n_values if each.samples else None,
        )
        for each in sizes
    )
    return workloads, notes
