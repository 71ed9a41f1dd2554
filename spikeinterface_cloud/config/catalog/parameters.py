"""Compare the values of sorter parameters with their defaults, nested objects included."""

import json
from collections.abc import Iterator, Mapping, Sequence
from inspect import Parameter
from typing import Any

from spikeinterface_cloud.config.parsing import nearest

#: The objects among spykingcircus2's parameters that it reads name by name, so that any other name
#: would have no effect; with those that it reads besides the names of the default.
READ_BY_NAME: Mapping[str, frozenset[str]] = {
    "spykingcircus2.detection": frozenset({"exclude_sweep_ms"}),
    "spykingcircus2.selection": frozenset(),
    "spykingcircus2.clustering": frozenset(),
    "spykingcircus2.matching": frozenset({"matching_kwargs"}),
}

#: Every other object goes on to a function, which takes more names than the default has; those of
#: them that look like a misspelling of one of the default's.
TAKEN_BESIDES: Mapping[str, frozenset[str]] = {
    "spykingcircus2.filtering": frozenset({"filter_mode"}),
}

#: Parameters that a sorter overwrites or never reads, by their place, with what to do instead.
WITHOUT_EFFECT: Mapping[str, Mapping[str, str]] = {
    # it inverts the samples that drift is estimated on, and not those in which spikes are found
    "kilosort4": {"invert_sign": "leave it out"},
    "spykingcircus2": {
        "detection.method_kwargs.radius_um": "set general.radius_um, of which it takes half",
        "detection.method_kwargs.exclude_sweep_ms": "set detection.exclude_sweep_ms",
        "selection.method_kwargs.n_peaks": "set n_peaks_per_channel and min_n_peaks there",
        "motion_correction.detect_kwargs": "choose another motion_correction.preset",
        "motion_correction.folder": "leave it out",
        "clustering.method_kwargs.peaks_svd": "set general",
        "clustering.method_kwargs.clean_templates": "set cleaning",
        "whitening.dtype": "leave it out",
        "whitening.seed": "set seed",
        "whitening.regularize_kwargs": "leave it out",
        "cleaning.remove_empty": "leave it out",
        "cleaning.max_std_per_channel": "leave it out",
        "cleaning.verbose": "leave it out",
        "merging.debug_folder": "leave it out",
        "matching.method_kwargs": "set matching.matching_kwargs",
    },
}

#: that scikit-learn takes
LARGEST_SEED = 2**32 - 1

#: clusterers that `simple` calls without its clusterer_kwargs
WITHOUT_KWARGS = ("mean_shift", "affinity_propagation")


def ineffective_parameters(
    sorter: str, parameters: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a line for each parameter that would have no effect, unless it is the default."""
    where = f"SORTERS_KWARGS: {sorter}:"
    for place, remedy in WITHOUT_EFFECT.get(sorter, {}).items():
        value = _value_at(place, parameters)
        if value not in (None, {}) and value != _value_at(place, defaults):
            yield f"{where} {place} has no effect in this sorter; {remedy}"
    clusterer = parameters.get("clusterer")
    if sorter == "simple" and clusterer in WITHOUT_KWARGS and parameters.get("clusterer_kwargs"):
        yield f"{where} clusterer_kwargs has no effect on {clusterer}; leave it out"


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_SEED


def _value_at(place: str, parameters: Mapping[str, Any]) -> Any:
    value: Any = parameters
    for name in place.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def value_problems(sorter: str, parameter: str, value: Any, default: Any) -> Iterator[str]:
    """Yield a line for each problem with a parameter's value."""
    if parameter == "seed" and value is not None and not _is_seed(value):
        yield (
            f"SORTERS_KWARGS: {sorter}: seed is {as_json(value)}; it takes a whole number from 0 "
            f"to {LARGEST_SEED}"
        )
        return
    for problem in _type_problems(parameter, value, default):
        yield f"SORTERS_KWARGS: {sorter}: {problem}"
    if isinstance(default, dict) and isinstance(value, dict):
        for problem in _unknown_names(f"{sorter}.{parameter}", value, default):
            yield f"SORTERS_KWARGS: {sorter}: {parameter} {problem}"


def boolean_parameters(parameters: Sequence[Parameter]) -> dict[str, bool]:
    """Return the parameters of a function that take true or false, and whether also null."""
    found = {each.name: each.annotation == bool | None for each in parameters}
    with_default = {each.name for each in parameters if isinstance(each.default, bool)}
    return {name: null for name, null in found.items() if null or name in with_default}


def boolean_problem(name: str, value: Any, booleans: Mapping[str, bool]) -> str | None:
    """Say what is wrong with the value of a parameter that takes true or false; None if nothing.

    >>> boolean_problem("is_filtered", "false", {"is_filtered": True})
    'is_filtered is "false"; it takes true, false or null, without quotes'
    """
    if name not in booleans or isinstance(value, bool) or (value is None and booleans[name]):
        return None
    taken = "true, false or null" if booleans[name] else "true or false"
    return f"{name} is {as_json(value)}; it takes {taken}, without quotes"


def as_json(value: Any) -> str:
    """Format a value as JSON, as a user would write it.

    >>> as_json({"apply": True})
    '{"apply": true}'
    """
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)


def _unknown_names(
    where: str, value: Mapping[str, Any], default: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the names in an object that its default does not have; an empty default takes any.

    Nested objects are not checked: they depend on the chosen method.
    """
    if not default:
        return
    is_closed = where in READ_BY_NAME
    taken = READ_BY_NAME.get(where, frozenset()) | TAKEN_BESIDES.get(where, frozenset())
    for name in value:
        if name in default or name in taken:
            continue
        meant = nearest(name, default, cutoff=0.6 if is_closed else 0.85)
        if is_closed or meant:
            yield f"has no {name}{meant} (it has {', '.join(sorted({*default, *taken}))})"


def _type_problems(name: str, value: Any, default: Any) -> Iterator[str]:
    """Compare a value with the type of its default; a default of None takes anything."""
    if default is None:
        return
    if isinstance(default, dict):
        if not isinstance(value, dict):
            yield f"{name} is {as_json(value)}; it takes an object, like {as_json(default)}"
            return
        for key in default.keys() & value.keys():
            yield from _type_problems(f"{name}.{key}", value[key], default[key])
    elif not _is_like(value, default):
        yield f"{name} is {as_json(value)}; it takes {_kind(default)}, like {as_json(default)}"


def _is_like(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, int):
        # Kilosort4 calls thresholds integers that its own documentation sets to fractions
        return isinstance(value, int | float)
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, type(default))


def _kind(default: Any) -> str:
    match default:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case _:
            return "a list"
