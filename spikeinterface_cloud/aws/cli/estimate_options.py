"""The options of `estimate`, and which of them go together."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import click

from spikeinterface_cloud.aws.cli.click_sections import Declared, Pair, option_group

#: the options that say how large a recording is, each by its parameter
SIZES = ("source", "size", "duration", "dandiset", "source_prefix", "csv")

#: options that go with one of those alone
COMPANIONS = {"glob": "dandiset", "match": "source_prefix"}


class _Measure(click.ParamType[Any, Any]):
    """A positive number, with a fraction if need be, and its unit."""

    units: Mapping[str, float]
    example: str

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"([-+]?\d+(?:\.\d+)?)\s*([A-Za-z]*)", value.strip())
        factor = self.units.get(match[2].lower()) if match else None
        if match is None or factor is None:
            self.fail(f"{value!r} is not understood; write it like {self.example}.", param, ctx)
        amount = float(match[1]) * factor
        if not 0 < amount < math.inf:
            self.fail(f"{value!r} is not more than nothing.", param, ctx)
        return amount


class RecordedTime(_Measure):
    """78min, 1.5h; a bare number is seconds."""

    name = "TIME"
    units = MappingProxyType({"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0})
    example = "78min, 1.5h or 4680 (seconds)"


class ByteSize(_Measure):
    """25GB, 1.2TB, 20GiB; a bare number is bytes."""

    name = "SIZE"
    units = MappingProxyType(
        {"": 1.0, "b": 1.0}
        | {f"{letter}b": 1000.0**power for power, letter in enumerate("kmgt", 1)}
        | {f"{letter}ib": 1024.0**power for power, letter in enumerate("kmgt", 1)}
    )
    example = "25GB, 20GiB or 25000000000 (bytes)"


class Price(click.ParamType[Any, Any]):
    """TYPE=USD, or USD for the one type that is asked for."""

    name = "[TYPE=]USD"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        name, text = Pair().convert(value, param, ctx) if "=" in value else ("", value)
        try:
            usd = float(text)
        except ValueError:
            self.fail(f"{value!r} is not a price; write it like g4dn.2xlarge=0.82.", param, ctx)
        if not 0 < usd < math.inf:
            self.fail(f"{value!r} is not a price above nothing.", param, ctx)
        return name, usd


size_options = option_group(
    "How much there is to sort: one of these",
    Declared(
        "--source",
        metavar="URL",
        help="look up the size of s3://bucket/folder, dandi://dandi/000006@draft/a.nwb, or the "
        "https:// URL of a DANDI blob",
    ),
    Declared(
        "--size",
        type=ByteSize(),
        help="of uncompressed 16-bit samples: 25GB, 20GiB",
    ),
    Declared("--duration", type=RecordedTime(), help="recorded time: 78min, 1.5h"),
    Declared("--dandiset", metavar="NAME", help="every NWB file of a dandiset"),
    Declared("--glob", metavar="PATTERN", help="of those, like 'sub-*/*_ecephys.nwb'"),
    Declared("--source-prefix", metavar="URL", help="every folder below s3://bucket/raw/"),
    Declared("--match", metavar="PATTERN", help="of those, '*/'; objects: '*.nwb'"),
    Declared(
        "--csv",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="every row, a column a variable of the job",
    ),
)

work_options = option_group(
    "What is done with it, and where",
    Declared(
        "--channels",
        type=click.IntRange(1),
        default=384,
        show_default=True,
        metavar="N",
        help="of each recording",
    ),
    Declared(
        "--sampling-rate",
        type=click.FloatRange(0, min_open=True),
        default=30000.0,
        show_default=True,
        metavar="HZ",
        help="of each channel",
    ),
    Declared(
        "--sorters",
        metavar="TEXT",
        help="comma-separated names, or a JSON list  [variable: SORTERS; default: kilosort4]",
    ),
    Declared(
        "--instance-type",
        multiple=True,
        metavar="TYPE",
        help="this one only, as often as needed; by default every one of the price table",
    ),
    Declared(
        "--scratch",
        type=click.Choice(["nvme", "ebs"]),
        default="nvme",
        show_default=True,
        help="nvme: the instance's own disks, where it has any; ebs: a volume as large as needed",
    ),
    Declared(
        "--price",
        type=Price(),
        multiple=True,
        help="on-demand USD an hour instead of the table's, as often as needed; without TYPE that "
        "of the one --instance-type",
    ),
    Declared(
        "--prices",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help='your own prices: JSON like {"on_demand": {"g4dn.2xlarge": 0.94}, "spot": {...}}',
    ),
)


def check_options(given: Mapping[str, Any]) -> None:
    """Refuse options that do not go together. Raises click.UsageError (2)."""
    sizes = [name for name in SIZES if given[name]]
    if not sizes:
        raise click.UsageError(
            "how much is there to sort? Give one of --source URL, --size 25GB, --duration 78min, "
            "--dandiset, --source-prefix or --csv."
        )
    if len(sizes) > 1:
        raise click.UsageError(f"{' and '.join(map(_option, sizes))}: give one of them.")
    for name, companion in COMPANIONS.items():
        if given[name] and not given[companion]:
            raise click.UsageError(f"{_option(name)} goes with {_option(companion)}.")
    if any(not name for name, _ in given["price"]) and len(given["instance_type"]) != 1:
        raise click.UsageError(
            "--price without a TYPE goes with one --instance-type; write it like g4dn.2xlarge=0.82."
        )


def typed_prices(given: Mapping[str, Any]) -> dict[str, float]:
    """The prices of `--price` by instance type."""
    return {name or given["instance_type"][0]: usd for name, usd in given["price"]}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
