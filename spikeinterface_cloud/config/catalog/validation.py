"""Whether the names that a job uses are known: of readers, sorters, steps, and their parameters.

The tables to compare with are handed in, by the container from the SpikeInterface that it has, by
the laptop from a file (snapshot.py): both refuse the same job in the same words.
"""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from spikeinterface_cloud.config.artifact_triggers import (
    STEP,
    TRIGGERS,
    as_known_step,
    trigger_lines,
)
from spikeinterface_cloud.config.catalog.kilosort4 import kilosort4_problems
from spikeinterface_cloud.config.catalog.parameters import (
    as_json,
    boolean_problem,
    ineffective_parameters,
    value_problems,
)
from spikeinterface_cloud.config.catalog.sorter_bands import sorter_band_problems
from spikeinterface_cloud.config.catalog.step_bands import check_phase_shifts
from spikeinterface_cloud.config.catalog.step_values import check_step_values
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.errors import SettingsError

#: readers that execute text of the source as Python: its `.prb` file, the values of its meta file
EXECUTES_THE_SOURCE = frozenset({"shybrid", "sinaps_research_platform"})

#: what the job decides itself: where the data are, and whether they are streamed
DECIDED_BY_THE_JOB = frozenset(
    {
        "file",
        "stream_mode",
        "stream_cache_path",
        "cache",
        "storage_options",
        "cbin_file_path",
        "file_timestamps_paths",
    }
)

#: the other names under which a format goes
OTHER_NAMES = {
    "openephysbinary": "openephys",
    "openephyslegacy": "openephys",
    "compressedbinaryibl": "cbin_ibl",
    "binaryfolder": "binary",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderNames:
    """The names of one reader."""

    #: the DATA_TYPE
    name: str
    #: the parameter that takes the path
    path_parameter: str
    #: parameters that READ_RECORDING_KWARGS may name
    parameters: tuple[str, ...]
    #: parameters that it has to name
    required: tuple[str, ...]
    #: those that take true or false, and whether also null
    booleans: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepNames:
    """The names of one step of preprocessing."""

    parameters: tuple[str, ...]
    #: whether it hands on parameters that it does not name itself
    passes_on: bool
    #: parameters that take true or false, and whether also null; those that it hands on included
    booleans: Mapping[str, bool] = field(default_factory=dict)


#: more than any probe or array has; readers make room for each of them before they look at a file
MOST_CHANNELS = 100_000


def resolve_data_type(data_type: str, known: Collection[str]) -> str:
    """Return the reader that `data_type` names; SettingsError with the nearest if there is none."""
    wanted = data_type.strip().lower().removeprefix("read_").replace("-", "_")
    short = wanted.removesuffix("_recording")
    if short in EXECUTES_THE_SOURCE:
        raise SettingsError(
            f"DATA_TYPE={data_type}: its reader runs text of the source as a program; "
            "convert the recording to nwb, or to binary with SpikeInterface, first"
        )
    squeezed = short.replace("_", "").replace(" ", "")
    for name in (short, OTHER_NAMES.get(squeezed, ""), squeezed):
        if name in known:
            return name
    names = sorted(known)
    near = difflib.get_close_matches(squeezed, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "choose one of the known ones"
    raise SettingsError(
        f"DATA_TYPE={data_type} is not a reader of SpikeInterface; {hint} "
        f"Known are {', '.join(names)}"
    )


def check_reader_parameters(reader: ReaderNames, kwargs: Mapping[str, object]) -> None:
    """Refuse parameters that the reader does not take, and missing ones."""
    accepted = ", ".join(reader.parameters) or "no parameter"
    for name, value in kwargs.items():
        if name not in reader.parameters:
            raise SettingsError(
                f"READ_RECORDING_KWARGS names {name!r}, {_why_not(reader, name)}; "
                f"accepted for DATA_TYPE={reader.name}: {accepted}"
            )
        if problem := boolean_problem(name, value, reader.booleans):
            raise SettingsError(f"READ_RECORDING_KWARGS: {problem}")
    missing = [name for name in reader.required if name not in kwargs]
    # without parameters, binary is a folder that SpikeInterface saved and that describes itself
    if missing and not (reader.name == "binary" and not kwargs):
        raise SettingsError(
            f"READ_RECORDING_KWARGS lacks {', '.join(missing)}, which DATA_TYPE={reader.name} "
            f"needs; accepted: {accepted}"
        )
    check_numbers(kwargs)


def check_numbers(kwargs: Mapping[str, object]) -> None:
    """Refuse values that describe no samples: readers fail on them late, or run out of memory."""
    rate, n_channels = kwargs.get("sampling_frequency"), kwargs.get("num_channels")
    if rate is not None and not (_is_number(rate) and rate > 0):
        raise SettingsError(
            f"READ_RECORDING_KWARGS: sampling_frequency is {rate!r}; give a number of Hz above 0"
        )
    if n_channels is not None and not (
        _is_number(n_channels) and n_channels in range(1, MOST_CHANNELS + 1)
    ):
        raise SettingsError(
            f"READ_RECORDING_KWARGS: num_channels is {n_channels!r}; give a whole number from 1 to "
            f"{MOST_CHANNELS}"
        )
    for name in ("gain_to_uV", "offset_to_uV"):
        value = kwargs.get(name)
        values = value if isinstance(value, list) else [value]
        if value is not None and not all(map(_is_number, values)):
            raise SettingsError(
                f"READ_RECORDING_KWARGS: {name} is {value!r}; give a number, or a list with a "
                "number for each channel"
            )


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _why_not(reader: ReaderNames, name: str) -> str:
    if name == reader.path_parameter or name in DECIDED_BY_THE_JOB:
        return "which the job sets itself"
    near = difflib.get_close_matches(name, reader.parameters, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"which its reader does not take{hint}"


def unknown_sorter(name: str, known: Collection[str], usual: Sequence[str]) -> str:
    """Describe a sorter that SpikeInterface lacks, with the nearest name, a usual one first."""
    hint = nearest(name, usual) or nearest(name, known)
    return f"SORTERS: {name} is not a sorter of SpikeInterface{hint}"


def parameter_problems(
    sorter: str, parameters: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a line for each problem with the parameters of a sorter."""
    for name, value in parameters.items():
        if name not in defaults:
            yield (
                f"SORTERS_KWARGS: {sorter} has no parameter {name}{nearest(name, defaults)}"
                f" (it has {', '.join(sorted(defaults))})"
            )
        else:
            yield from value_problems(sorter, name, value, defaults[name])
    yield from ineffective_parameters(sorter, parameters, defaults)
    if sorter == "kilosort4":
        yield from kilosort4_problems(parameters)
    yield from sorter_band_problems(sorter, parameters, defaults)


def as_steps(
    choice: str | Sequence[Mapping[str, Any]] | Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the given steps of PREPROCESSING, each with its name and parameters; none of a word.

    >>> as_steps({"common_reference": {}})
    [{'name': 'common_reference', 'params': {}}]
    """
    if isinstance(choice, str):  # default or none
        return []
    if isinstance(choice, Mapping):
        given = list(choice.items())
    else:
        given = [(step["name"], step.get("params")) for step in choice]
    return [{"name": name, "params": {} if params is None else params} for name, params in given]


def check_steps(
    choice: Sequence[Mapping[str, Any]] | Mapping[str, Any], known: Mapping[str, StepNames]
) -> None:
    """Refuse steps and parameters that SpikeInterface does not have, or that shift spikes."""
    steps = [as_known_step(step) for step in as_steps(choice)]
    for step in steps:
        if step["name"] not in known:
            raise SettingsError(
                f"PREPROCESSING: {step['name']} is not a step of SpikeInterface"
                f"{nearest(step['name'], known)} (it has {', '.join(sorted(known))})"
            )
        _check_step_parameters(step["name"], step["params"], known[step["name"]])
    check_step_values(steps)
    check_phase_shifts(steps)


def _check_step_parameters(step: str, given: object, names: StepNames) -> None:
    if not isinstance(given, Mapping):
        raise SettingsError(
            f"PREPROCESSING: {step} has {as_json(given)} for parameters; "
            f'write {{"{step}": {{"parameter": value}}}}'
        )
    known = [*names.parameters, *([TRIGGERS] if step == STEP else [])]
    for name, value in given.items():
        meant = nearest(name, known, cutoff=0.85)
        if name not in names.parameters and (meant or not names.passes_on):
            raise SettingsError(
                f"PREPROCESSING: {step} has no parameter {name}{meant} (it has {', '.join(known)})"
            )
        if problem := boolean_problem(name, value, names.booleans):
            raise SettingsError(f"PREPROCESSING: {step}: {problem}")


def trigger_streams(choice: str | Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> list[str]:
    """Return the streams whose lines PREPROCESSING names; none if it is malformed.

    >>> trigger_streams({"remove_artifacts": {"triggers": "nidq:line3"}})
    ['nidq']
    """
    if isinstance(choice, str):
        return []
    with suppress(SettingsError):  # which the check of the steps raises
        return [*dict.fromkeys(line.stream for line in trigger_lines(as_steps(choice)))]
    return []
