"""How the text of a variable becomes a value; each refusal says what to write instead."""

import ast
import difflib
import json
import math
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, NoReturn

from pydantic import BeforeValidator

#: what AWS, boto3 and Batch call their own variables: near to ours, and never a misspelling of them
FOREIGN_NAMES = frozenset(
    {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE"}
)


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
    if value.lstrip().startswith("["):
        parsed = load_json(value)
        if not all(isinstance(name, str) for name in parsed):
            raise ValueError(f"{value!r} holds something that is not a name; write names alone")
        return tuple(parsed)
    return tuple(name.strip() for name in value.split(",") if name.strip())


def load_json(text: str) -> Any:
    """Parse strict JSON (no NaN); the error shows the corrected value of a Python literal."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except ValueError as error:
        raise ValueError(f"not JSON ({error}){_suggest_json(text)}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply; write it with fewer brackets") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    """A number; one that is too large for a float would be written back as `Infinity`."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large for a number")
    return number


def _suggest_json(text: str) -> str:
    try:
        meant = json.dumps(ast.literal_eval(text), allow_nan=False)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return "; check its quotes, commas and brackets"
    return f"; write {meant}"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint that names the nearest known name, or nothing.

    >>> nearest("kilosort44", ["kilosort4", "simple"])
    '; did you mean kilosort4?'
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {matches[0]}?" if matches else ""


def misspelt(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Those names that are almost, but not quite, a known one, with the one that was meant."""
    known = frozenset(known)
    meant = {name: _meant(name, known) for name in names}
    return {name: nearest_name for name, nearest_name in meant.items() if nearest_name}


@cache  # one environment is read for each of ten thousand recordings
def _meant(name: str, known: frozenset[str]) -> str | None:
    if name in known or name in FOREIGN_NAMES or name.startswith("AWS_BATCH_"):
        return None
    matches = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.85)
    return matches[0] if matches else None


Boolean = Annotated[bool, BeforeValidator(parse_boolean)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(parse_json_object)]
Names = Annotated[tuple[str, ...], BeforeValidator(parse_names)]
