"""The options of `estimate`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from spikeinterface_cloud.aws.cli.click_sections import (
    TIME_UNITS,
    Pair,
    Quantity,
    one_value_each,
    option,
    option_group,
)
from spikeinterface_cloud.aws.cli.options import LIST_OPTIONS, option_name, reject_stray_companions

if TYPE_CHECKING:
    from spikeinterface_cloud.aws.cli.values import EstimateOptions

#: the parameters that give the size of the recordings: exactly one is needed
SIZES = ("source", "size", "duration", "dandiset", "source_prefix", "csv")

BYTE_UNITS = (
    {"": 1, "b": 1}
    | {f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)}
    | {f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)}
)


class Price(click.ParamType[Any, Any]):
    """TYPE=USD, or USD for the one instance type that `--instance-type` names."""

    name = "[TYPE=]USD"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Return the instance type, which may be empty, and the price in USD per hour."""
        if isinstance(value, tuple):
            return value
        name, text = Pair().convert(value, param, ctx) if "=" in value else ("", value)
        try:
            usd = float(text)
        except ValueError:
            self.fail(f"{value!r} is not a price; write it like g4dn.2xlarge=0.82.", param, ctx)
        if not 0 < usd < math.inf:
            self.fail(f"{value!r} is not a price above 0.", param, ctx)
        return name, usd


size_options = option_group(
    "Size of the recordings: give one of these",
    option(
        "--source",
        metavar="URL",
        multiple=True,
        help="look up the size of s3://bucket/folder, dandi://dandi/000006@draft/a.nwb, or the "
        "https:// URL of a DANDI blob; repeatable: recordings that are joined",
    ),
    option(
        "--size",
        type=Quantity("SIZE", BYTE_UNITS, "25GB, 20GiB or 25000000000 (bytes)"),
        help="of uncompressed 16-bit samples: 25GB, 20GiB",
    ),
    option(
        "--duration",
        type=Quantity("TIME", TIME_UNITS, "78min, 1.5h or 4680 (seconds)"),
        help="length of the recording: 78min, 1.5h",
    ),
    *LIST_OPTIONS,
)

work_options = option_group(
    "Recording and sorting",
    option(
        "--channels",
        type=click.IntRange(1),
        default=384,
        show_default=True,
        metavar="N",
        help="of each recording",
    ),
    option(
        "--sampling-rate",
        type=click.FloatRange(0, min_open=True),
        default=30000.0,
        show_default=True,
        metavar="HZ",
        help="of each channel",
    ),
    option(
        "--sorters",
        metavar="TEXT",
        help="comma-separated names, or a JSON list  [variable: SORTERS; default: kilosort4]",
    ),
)

instance_options = option_group(
    "Instances and prices",
    option(
        "--instance-type",
        multiple=True,
        metavar="TYPE",
        help="only this one; repeatable; by default all of the price table",
    ),
    option(
        "--scratch",
        type=click.Choice(["nvme", "ebs"]),
        default="nvme",
        show_default=True,
        help="nvme: the instance's own disks, if it has any; ebs: a volume as large as needed",
    ),
    option(
        "--price",
        type=Price(),
        multiple=True,
        callback=one_value_each,
        help="on-demand USD per hour instead of the table's; repeatable; without TYPE, that of the "
        "one --instance-type",
    ),
    option(
        "--prices",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help='your own prices: JSON like {"on_demand": {"g4dn.2xlarge": 0.94}, "spot": {...}}',
    ),
)


def check_options(given: Mapping[str, Any]) -> None:
    """Refuse options that do not go together."""
    sizes = [name for name in SIZES if given[name]]
    if not sizes:
        raise click.UsageError(
            "the size of the recordings is missing; give one of --source URL, --size 25GB, "
            "--duration 78min, --dandiset, --source-prefix or --csv."
        )
    if len(sizes) > 1:
        raise click.UsageError(f"{' and '.join(map(option_name, sizes))}: give one of them.")
    reject_stray_companions(given)
    if any(not name for name, _ in given["price"]) and len(given["instance_type"]) != 1:
        raise click.UsageError(
            "--price without a TYPE goes with one --instance-type; write it like g4dn.2xlarge=0.82."
        )


def typed_prices(options: EstimateOptions) -> dict[str, float]:
    """Return the prices of `--price` in USD per hour, by instance type."""
    return {name or options.instance_type[0]: usd for name, usd in options.price}
