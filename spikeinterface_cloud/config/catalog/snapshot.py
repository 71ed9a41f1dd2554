"""Snapshot of SpikeInterface's reader, sorter and preprocessing names, for machines without it.

`tools/update_catalog.py` writes the snapshot where SpikeInterface is installed, and a test compares
the two, so that the laptop refuses what the container would refuse.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from spikeinterface_cloud.config.artifact_triggers import check_triggers
from spikeinterface_cloud.config.catalog.kilosort4 import whitening_problems
from spikeinterface_cloud.config.catalog.validation import (
    ReaderNames,
    StepNames,
    as_steps,
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
class Snapshot:
    """The content of the file."""

    #: the packages that it was read off, with their versions
    versions: Mapping[str, str]
    readers: Mapping[str, ReaderNames]
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
    content = json.loads(FILE.read_text(encoding="utf-8"))
    for name, reader in content["readers"].items():
        reader["name"] = name
    return TypeAdapter(Snapshot).validate_python(content)


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
    catalog = load_snapshot()
    for sorter in settings.sorters:
        if sorter not in catalog.sorters:
            problem = unknown_sorter(sorter, catalog.sorters, catalog.usual)
            yield f"{problem}; the images have {', '.join(catalog.usual)}"
    for sorter, parameters in settings.sorters_kwargs.items():
        defaults = catalog.sorters.get(sorter)
        if defaults is not None:  # another image's sorter is not known here
            yield from parameter_problems(sorter, parameters, defaults)
    yield from whitening_problems(settings.sorters_kwargs, as_steps(settings.preprocessing))
    for check in (_check_reader, _check_preprocessing):
        try:
            check(settings, catalog)
        except SettingsError as error:
            yield from str(error).splitlines()


def _check_reader(settings: JobSettings, catalog: Snapshot) -> None:
    if not isinstance(settings.source, SimulatedRecording):  # which no reader opens
        reader = catalog.readers[resolve_data_type(settings.reader, catalog.readers)]
        check_reader_parameters(reader, settings.read_recording_kwargs)


def _check_preprocessing(settings: JobSettings, catalog: Snapshot) -> None:
    if not isinstance(settings.preprocessing, str):
        check_steps(settings.preprocessing, catalog.steps)
        data_type = resolve_data_type(settings.reader, catalog.readers)
        steps = as_steps(settings.preprocessing)
        check_triggers(steps, settings.source, data_type, settings.events)
