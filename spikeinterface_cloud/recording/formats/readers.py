"""The readers that DATA_TYPE names: every one of `spikeinterface.extractors` for recordings.

They are discovered in SpikeInterface itself, so new readers need no change here, and
READ_RECORDING_KWARGS is checked against the reader's own signature before anything is downloaded.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from typing import Any

from neo import rawio
from spikeinterface import extractors
from spikeinterface.core import BaseRecording
from spikeinterface.core.zarrextractors import read_zarr
from spikeinterface.extractors.neoextractors import neo_recording_extractors_dict

from spikeinterface_cloud.config.catalog.parameters import boolean_parameters
from spikeinterface_cloud.config.catalog.validation import (
    DECIDED_BY_THE_JOB,
    EXECUTES_THE_SOURCE,
    ReaderNames,
    check_reader_parameters,
    resolve_data_type,
)
from spikeinterface_cloud.recording.formats.packages import check_packages
from spikeinterface_cloud.recording.formats.spikeglx import without_uuid

PATH_PARAMETERS = ("file_path", "folder_path", "file_paths")

#: endings of the files by which a reader finds a recording, where neo's own list lacks them, does
#: not put them first, or has others too
ENDINGS = {
    "nwb": (".nwb",),
    "axona": (".set",),
    "blackrock": (".ns6", ".ns5", ".ns4", ".ns3", ".ns2", ".ns1"),
    "cbin_ibl": (".cbin", ".ch", ".meta"),
    "intan": (".rhd", ".rhs"),
    "mda": ("raw.mda",),
    "neuralynx": (".ncs",),
    "nwb_timeseries": (".nwb",),
    "neuronexus": (".xdat.json",),
    "neuroscope": (".xml", ".dat"),
    "openephys": ("structure.oebin", ".openephys", ".continuous"),
    "split_intan_files": (".rhd", ".rhs"),
    "tdt": (".tsq", ".tbk", ".tdx", ".tev", ".sev"),
}

#: endings by which the format of a folder is guessed
TYPICAL_ENDINGS = {
    ".nwb": "nwb",
    ".ap.meta": "spikeglx",
    ".ap.cbin": "cbin_ibl",
    "structure.oebin": "openephys",
    ".continuous": "openephys",
    "binary.json": "binary",
    ".zmetadata": "zarr",
    ".rhd": "intan",
    ".rhs": "intan",
    ".ns5": "blackrock",
    ".ns6": "blackrock",
    ".ncs": "neuralynx",
    ".plx": "plexon",
    ".pl2": "plexon2",
    ".rec": "spikegadgets",
    ".raw.h5": "maxwell",
    ".brw": "biocam",
    ".tsq": "tdt",
    ".mda": "mda",
    ".edf": "edf",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader(ReaderNames):
    """How SpikeInterface opens one kind of data."""

    #: called with the path and READ_RECORDING_KWARGS
    function: Callable[..., Any]
    #: the classes that list a format's streams, if the reader is based on neo
    neo_classes: tuple[Any, ...] = ()

    @property
    def takes_a_file(self) -> bool:
        """Whether the reader opens one file rather than a folder."""
        return self.path_parameter != "folder_path"

    @property
    def reads_zarr(self) -> bool:
        """Whether the reader opens a folder of Zarr."""
        return self.name in ("zarr", "zarr_array")

    @property
    def extensions(self) -> tuple[str, ...]:
        """Endings of the files it reads, the most typical first; empty where unknown."""
        if self.name in ENDINGS:
            return ENDINGS[self.name]
        if not self.neo_classes:
            return ()
        neo_class = getattr(rawio, self.neo_classes[0].NeoRawIOClass)
        return tuple(f".{extension.lower()}" for extension in neo_class.extensions if extension)


def reader_names() -> list[str]:
    """Return every DATA_TYPE, in alphabetical order."""
    return sorted(_readers())


def find_reader(data_type: str) -> Reader:
    """Return the reader of `data_type`; raise `SettingsError` with similar names if unknown."""
    return _readers()[resolve_data_type(data_type, _readers())]


def check_reader(data_type: str, kwargs: Mapping[str, object]) -> Reader:
    """Return the reader of `data_type` if READ_RECORDING_KWARGS fits its signature."""
    reader = find_reader(data_type)
    check_reader_parameters(reader, kwargs)
    check_packages(reader.name)
    return reader


def likely_data_type(names: Iterable[PurePath]) -> str | None:
    """Guess a DATA_TYPE from file names.

    >>> from pathlib import PurePosixPath
    >>> likely_data_type([PurePosixPath("notes.txt"), PurePosixPath("a_g0_t0.imec0.ap.meta")])
    'spikeglx'
    """
    for name in names:
        for ending, data_type in TYPICAL_ENDINGS.items():
            if without_uuid(name).name.endswith(ending):
                return data_type
    return None


@cache
def _readers() -> dict[str, Reader]:
    readers = {"zarr": _describe("zarr", read_zarr, (read_zarr,))}
    for attribute in dir(extractors):
        function = getattr(extractors, attribute)
        name = attribute.removeprefix("read_").removesuffix("_recording")
        sources = _recording_classes(function) if attribute.startswith("read_") else ()
        if sources and name not in EXECUTES_THE_SOURCE and _path_parameter(sources[0]):
            readers[name] = _describe(name, function, sources)
    return readers


def _recording_classes(function: object) -> tuple[Callable[..., Any], ...]:
    """Return the recording classes behind a `read_X`, which may be a class or wrap several."""
    if inspect.isclass(function):
        return (function,) if issubclass(function, BaseRecording) else ()
    entries = neo_recording_extractors_dict.items()
    return tuple(cls for cls, entry in entries if entry["wrapper_class"] is function)


def _describe(
    name: str, function: Callable[..., Any], sources: tuple[Callable[..., Any], ...]
) -> Reader:
    signatures = [inspect.signature(source).parameters for source in sources]
    path_parameter = _path_parameter(sources[0])
    assert path_parameter is not None
    union = {key: parameter for parameters in signatures for key, parameter in parameters.items()}
    union.pop(path_parameter)
    kept = {key: value for key, value in union.items() if key not in DECIDED_BY_THE_JOB}
    return Reader(
        name=name,
        # a wrapper of one class may return more than the recording (MEArec: its sorting as well)
        function=sources[0] if len(sources) == 1 else function,
        path_parameter=path_parameter,
        parameters=tuple(kept),
        required=tuple(
            key for key, value in kept.items() if value.default is inspect.Parameter.empty
        ),
        booleans=boolean_parameters(list(kept.values())),
        neo_classes=tuple(cls for cls in sources if cls in neo_recording_extractors_dict),
    )


def _path_parameter(source: Callable[..., Any]) -> str | None:
    """Return the parameter that takes the path; None for a reader of an API (IBL's)."""
    return next((n for n in inspect.signature(source).parameters if n in PATH_PARAMETERS), None)
