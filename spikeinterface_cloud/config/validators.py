"""What single variables have to hold, where that is more than a type."""

import json
from typing import Any

from spikeinterface_cloud.config.dandi_urls import parse_asset_name, parse_dandiset_name
from spikeinterface_cloud.config.locations import DandiAsset, parse_dandi
from spikeinterface_cloud.config.parsing import load_json, reject_duplicates


def parse_preprocessing(value: object) -> object:
    """Read `default`, `none`, or the JSON of a pipeline, in either of its forms."""
    if not isinstance(value, str) or value in ("default", "none"):
        return value
    if value.lower() in ("default", "none"):
        return value.lower()
    if not value.lstrip().startswith(("{", "[")):
        raise ValueError(f"{value!r} is not a pipeline; write default, none, or JSON")
    steps = load_json(value)
    if isinstance(steps, list) and not all(
        isinstance(step, dict) and "name" in step for step in steps
    ):
        raise ValueError(
            'each step of a list is an object with a name: [{"name": "highpass_filter", '
            '"params": {"freq_min": 300}}]'
        )
    return steps


def check_sorters(sorters: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse an empty list, and duplicates."""
    if not sorters:
        raise ValueError("names no sorter; write at least one, like kilosort4")
    return reject_duplicates(sorters)


def check_sorters_kwargs(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Refuse values that are not objects of parameters."""
    for name, parameters in kwargs.items():
        if not isinstance(parameters, dict):
            raise ValueError(
                f"{name} has {json.dumps(parameters)} for parameters; "
                f'write {{"{name}": {{"parameter": value}}}}'
            )
    return kwargs


def check_dandi(url: str) -> str:
    """Refuse a text that does not name an asset."""
    if isinstance(parse_dandi(url), DandiAsset):
        parse_asset_name(url)
    return url


def check_dandiset(name: str) -> str:
    """Refuse a text that does not name a dandiset."""
    parse_dandiset_name(name)
    return name
