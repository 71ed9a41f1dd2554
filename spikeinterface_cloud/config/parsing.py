"""Parse the text of variables into values; each error shows a valid text."""

import ast
import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NoReturn

from pydantic import BeforeValidator, Field

#: how people group the digits of a large number
GROUPED = re.compile(r"\d{1,3}([,._' ]\d{3})+")

#: parameters of sorters that hold channels by their place, which changes when the job removes some
CHANNELS_BY_PLACE = {"kilosort4": "bad_channels"}

#: properties that the analysis gives the units, and that channels may have as well
UNIT_PROPERTIES = ("label", "bombcell_label", "main_channel_id")


def parse_boolean(value: object) -> object:
    """Read true/false, 1/0 or yes/no in any case; `False` is false."""
    if not isinstance(value, str):
        return value
    match value.strip().lower():
        case "true" | "1" | "yes":
            return True
        case "false" | "0" | "no":
            return False
    raise ValueError(f"{value!r} is neither true nor false; write true or false")


def is_true(given: Mapping[str, str], name: str) -> bool:
    """Return whether a variable is given as true."""
    try:
        return parse_boolean(given.get(name, "false")) is True
    except ValueError:
        return False


def parse_json_object(value: object) -> object:
    """Read a JSON object; a Python literal is refused with the JSON that it should have been."""
    if not isinstance(value, str):
        return value
    parsed = load_json(value)
    if not isinstance(parsed, dict):
        raise ValueError(f'{value!r} is not a JSON object; write it as {{"name": value}}')
    return parsed


def parse_names(value: object) -> object:
    """Read comma-separated names, or a JSON list of them."""
    if not isinstance(value, str):
        return value
    names = listed(value)
    if any(re.search(r"[\s;]", name) for name in names):
        apart = ",".join(part for name in names for part in re.split(r"[\s;]+", name) if part)
        raise ValueError(f"{value!r}: names are separated by commas; write {apart}")
    return names


def listed(value: str) -> tuple[str, ...]:
    """Split names that are separated by commas, or in a JSON list."""
    if not value.lstrip().startswith("["):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    parsed = load_json(value)
    if not all(isinstance(name, str) and _is_text(name) for name in parsed):
        raise ValueError(f"{value!r} holds something that is not a name; write names alone")
    names = tuple(name.strip() for name in parsed)
    if not all(names):
        raise ValueError(f"{value!r} holds an empty name; leave it out")
    return names


def _is_text(name: str) -> bool:
    """Return whether the name can be encoded: JSON can hold lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def write(value: Any) -> str:
    """Write a value as the text of a variable that is read as this value again."""
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    if isinstance(value, tuple):
        return json.dumps(value) if any("," in name for name in value) else ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_streams(value: object) -> object:
    """Read `all`, or the names of streams, which may have spaces in them.

    >>> parse_streams("Record Node 101#Probe-AP, imec0.ap"), parse_streams("ALL")
    (('Record Node 101#Probe-AP', 'imec0.ap'), ('all',))
    """
    if not isinstance(value, str):
        return value
    names = reject_duplicates(listed(value))
    if not names:
        raise ValueError(f"{value!r} names no stream; write all, or names like imec0.ap,imec1.ap")
    if any(name.lower() == "all" for name in names):
        if len(names) > 1:
            raise ValueError(f"{value!r}: all is every stream; write it alone, or names alone")
        return ("all",)
    return names


def parse_lowercase_names(value: object) -> object:
    """Read names in any case as lowercase."""
    names = parse_names(value)
    return tuple(name.lower() for name in names) if isinstance(names, tuple) else names


def reject_duplicates(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a name that is listed twice."""
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"lists {', '.join(sorted(twice))} more than once; name each once")
    return names


def parse_count(value: object) -> object:
    """Read a whole number that is 1 or more."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    # a table's program writes 4 as 4.0
    if re.fullmatch(r"\+?\d{1,99}(\.0)?", text) and (count := int(text.removesuffix(".0"))):
        return count
    meant = re.sub(r"\D", "", text) if GROUPED.fullmatch(text) else "one like 4"
    raise ValueError(f"{value!r} is not a whole number of 1 or more; write {meant}")


def parse_preprocessing(value: object) -> object:
    """Read `default`, `none`, or the JSON of a pipeline, in either of its forms."""
    if not isinstance(value, str) or value in ("default", "none"):
        return value
    if value.lower() in ("default", "none"):
        return value.lower()
    if not value.lstrip().startswith(("{", "[")):
        raise ValueError(f"{value!r} is not a pipeline; write default, none, or JSON")
    try:
        steps = load_json(value)
    except RepeatedNameError as error:
        raise ValueError(
            f"{error}; to apply a step twice, write a list of steps: "
            '[{"name": "notch_filter", "params": {"freq": 50}}, ...]'
        ) from error
    if not isinstance(steps, list):
        return steps
    for step in steps:
        if not isinstance(step, dict) or not isinstance(step.get("name"), str):
            raise ValueError(
                'each step of a list is an object with a name: [{"name": "highpass_filter", '
                '"params": {"freq_min": 300}}]'
            )
        if others := step.keys() - {"name", "params"}:
            raise ValueError(
                f"{step['name']} has {', '.join(sorted(others))} beside name and params, and only "
                f"params are applied; write {json.dumps(_with_params(step), ensure_ascii=False)}"
            )
    return steps


def _with_params(step: dict[str, Any]) -> dict[str, Any]:
    """Return a step whose values are not under params as it was meant.

    >>> _with_params({"name": "highpass_filter", "kwargs": {"freq_min": 600}})
    {'name': 'highpass_filter', 'params': {'freq_min': 600}}
    >>> _with_params({"name": "highpass_filter", "freq_min": 600})
    {'name': 'highpass_filter', 'params': {'freq_min': 600}}
    """
    params = step.get("params")
    meant = dict(params) if isinstance(params, dict) else {}
    for name, value in step.items():
        if name not in ("name", "params"):
            meant |= value if isinstance(value, dict) else {name: value}
    return {"name": step["name"], "params": meant}


def check_sorters(sorters: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse an empty list, and duplicates."""
    if not sorters:
        raise ValueError("names no sorter; write at least one, like kilosort4")
    return reject_duplicates(sorters)


def check_sorters_kwargs(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Refuse values that are not objects of parameters, and channels by their place."""
    for name, parameters in kwargs.items():
        if not isinstance(parameters, dict):
            raise ValueError(
                f"{name} has {json.dumps(parameters)} for parameters; "
                f'write {{"{name}": {{"parameter": value}}}}'
            )
        channels = CHANNELS_BY_PLACE.get(name)
        if parameters.get(channels):
            raise ValueError(
                f"{channels} of {name} are places among the channels that are sorted, which the "
                "job may have removed others from; leave it out, and name the channels in "
                'PREPROCESSING: {"detect_and_remove_bad_channels": {"bad_channel_ids": ["AP20"]}}'
            )
    return kwargs


def check_split_by(name: str) -> str:
    """Refuse a property whose values the analysis would replace in the units."""
    if name in UNIT_PROPERTIES:
        raise ValueError(
            f"{name} is a property that the analysis gives the units, which would lose their "
            "groups; name another property, or give the channels shanks in PROBE_FILE and name "
            "group"
        )
    return name


class UnfitJsonError(ValueError):
    """JSON is correct, and Python would not keep what it says."""


class RepeatedNameError(UnfitJsonError):
    """An object of JSON names something more than once, of which Python would keep the last."""


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, as `json.loads` hands it to its `object_pairs_hook`.

    >>> json.loads('{"seed": 1, "seed": 2}', object_pairs_hook=unique_names)
    Traceback (most recent call last):
    spikeinterface_cloud.config.parsing.RepeatedNameError: names "seed" more than once; name it once
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise RepeatedNameError(f"names {json.dumps(repeated)} more than once; name it once")
    return found


def load_json(text: str) -> Any:
    """Parse strict JSON (no NaN, no name twice); the error corrects a Python literal."""
    try:
        return json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded,
            object_pairs_hook=unique_names,
        )
    except UnfitJsonError:
        raise
    except ValueError as error:
        raise ValueError(f"not JSON ({error}){_suggest_json(text)}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply; write it with fewer brackets") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    """Parse a number; infinity would be written back as invalid JSON."""
    number = float(text)
    if not math.isfinite(number):
        raise UnfitJsonError(f"{text} is too large for a number; write a smaller one")
    return number


def _bounded(text: str) -> int:
    """Parse a whole number; one above the largest float would fail where the two are compared."""
    if not math.isfinite(float(text)):
        raise UnfitJsonError(
            f"a whole number of {len(text.lstrip('-'))} digits is too large; write a smaller one"
        )
    return int(text)


def _suggest_json(text: str) -> str:
    try:
        meant = json.dumps(ast.literal_eval(text), allow_nan=False)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return "; check its quotes, commas and brackets"
    return f"; write {meant}"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return a hint with the nearest known name, or an empty string.

    >>> nearest("kilosort44", ["kilosort4", "simple"])
    '; did you mean kilosort4?'
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {matches[0]}?" if matches else ""


Boolean = Annotated[bool, BeforeValidator(parse_boolean)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(parse_json_object)]
Names = Annotated[tuple[str, ...], BeforeValidator(parse_names)]
Count = Annotated[int, Field(gt=0), BeforeValidator(parse_count)]
