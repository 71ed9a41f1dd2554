"""Snapshot of SpikeInterface's reader, sorter and preprocessing names, for machines without it.

`tools/update_catalog.py` writes the snapshot where SpikeInterface is installed, and a test compares
the two, so that the laptop refuses what the container would refuse.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from spikeinterface_cloud.config.catalog.validation import (
    StepNames,
    check_reader_parameters,
    check_steps,
    parameter_problems,
    resolve_data_type,
    unknown_sorter,
)
from spikeinterface_cloud.config.locations import SimulatedRecording
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError

FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderSnapshot:
    """The names of one reader, as in `ReaderNames`."""

    name: str
    path_parameter: str
    parameters: tuple[str, ...]
    required: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The content of the file."""

    #: the packages that it was read off, with their versions
    versions: Mapping[str, str]
    readers: Mapping[str, ReaderSnapshot]
    #: the defaults of each sorter's parameters; None for a sorter that is in none of our images
    sorters: Mapping[str, Mapping[str, Any] | None]
    #: `nvidia-required` or `nvidia-optional`, for the sorters that use a GPU
    gpu_sorters: Mapping[str, str]
    #: those that `make image` or `make image-gpu` brings
    usual: Sequence[str]
    steps: Mapping[str, StepNames]


@cache  # one file for each of ten thousand recordings
def load_snapshot() -> Snapshot:
    """Read the snapshot."""
    said = json.loads(FILE.read_text(encoding="utf-8"))
    return Snapshot(
        versions=said["versions"],
        readers={
            name: ReaderSnapshot(
                name=name,
                path_parameter=reader["path_parameter"],
                parameters=tuple(reader["parameters"]),
                required=tuple(reader["required"]),
            )
            for name, reader in said["readers"].items()
        },
        sorters=said["sorters"],
        gpu_sorters=said["gpu_sorters"],
        usual=said["usual"],
        steps={
            name: StepNames(parameters=tuple(step["parameters"]), passes_on=step["passes_on"])
            for name, step in said["steps"].items()
        },
    )


def needs_gpu(sorter: str, parameters: Mapping[str, Any]) -> bool:
    """Return whether the sorter needs a GPU; Kilosort4 does, unless `torch_device` is `cpu`."""
    capability = load_snapshot().gpu_sorters.get(sorter)
    return capability == "nvidia-required" or (
        capability == "nvidia-optional" and parameters.get("torch_device") != "cpu"
    )


def find_unknown_names(settings: JobSettings) -> Iterator[str]:
    """Yield a line for each name or type that the container would refuse (78).

    A sorter that none of our images has may be in another, which is the container's to say.
    """
    for check in (_check_sorters, _check_sorters_kwargs, _check_reader, _check_preprocessing):
        yield from _refusals(check, settings)


def _refusals(check: Callable[[JobSettings], None], settings: JobSettings) -> Iterator[str]:
    try:
        check(settings)
    except SettingsError as error:
        yield from str(error).splitlines()


def _check_sorters(settings: JobSettings) -> None:
    sorters, usual = load_snapshot().sorters, load_snapshot().usual
    problems = [
        f"{unknown_sorter(name, sorters, usual)}; the images have {', '.join(usual)}"
        for name in settings.sorters
        if name not in sorters
    ]
    if problems:
        raise SettingsError("\n".join(problems))


def _check_sorters_kwargs(settings: JobSettings) -> None:
    sorters = load_snapshot().sorters
    problems = [
        problem
        for sorter, parameters in settings.sorters_kwargs.items()
        for problem in _problems_of(sorter, parameters, sorters.get(sorter))
    ]
    if problems:
        raise SettingsError("\n".join(problems))


def _problems_of(
    sorter: str, parameters: Mapping[str, Any], defaults: Mapping[str, Any] | None
) -> Iterator[str]:
    if defaults is not None:  # what another image's sorter takes is not known here
        yield from parameter_problems(sorter, parameters, defaults)


def _check_reader(settings: JobSettings) -> None:
    if isinstance(settings.source, SimulatedRecording):
        return  # no reader opens it
    readers = load_snapshot().readers
    reader = readers[resolve_data_type(settings.reader, readers)]
    check_reader_parameters(reader, settings.read_recording_kwargs)


def _check_preprocessing(settings: JobSettings) -> None:
    if not isinstance(settings.preprocessing, str):
        check_steps(settings.preprocessing, load_snapshot().steps)
