"""Which of the signals in a file or folder is the recording, and which files it needs.

Acquisition systems write several signals side by side: the action-potential band of each probe,
its LFP, a sync line, analog inputs. Only the first of these is ever sorted. A choice that is the
user's is never made silently: when there is more than one candidate, all are listed.
"""

import inspect
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from spikeinterface.extractors.nwbextractors import read_file_from_backend

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.hdf5_links import refuse_foreign_links
from spikeinterface_cloud.recording.formats.ibl import files_of_band
from spikeinterface_cloud.recording.formats.lfp_files import refuse_lfp_alone
from spikeinterface_cloud.recording.formats.readers import Reader, find_reader, likely_data_type
from spikeinterface_cloud.recording.formats.spikeglx import files_of_stream

logger = logging.getLogger(__name__)

#: what is sampled slower than this has no spikes in it
LOWEST_SAMPLING_FREQUENCY_HZ = 5000.0

AUXILIARY = re.compile(
    r"sync|nidq|ni-?daq|obx|adc|\baux|auxiliary|analog|digital|supply|temperature|message"
    r"|\bstim\b|dc amplifier|\becu\b|accel|gyro",
    re.IGNORECASE,
)

LFP = re.compile(r"lfp|(?:^|[^a-z])lf(?:$|[^a-z])|field potential", re.IGNORECASE)

#: the parameters by which READ_RECORDING_KWARGS chooses
CHOOSING = ("stream_id", "stream_name", "electrical_series_path")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """One of the signals in a file or folder."""

    #: how the reader is told: a `stream_id`, or a path inside an NWB file
    identifier: str
    name: str
    n_channels: int
    sampling_frequency_hz: float
    #: whether the file keeps it among the field potentials, whatever its name
    kept_as_lfp: bool = False

    def __str__(self) -> str:
        title = self.identifier
        if self.name != self.identifier:
            title += f" ({self.name})"
        return f"{title}: {self.n_channels} channels at {self.sampling_frequency_hz:g} Hz"

    @property
    def is_lfp(self) -> bool:
        """Whether it is too slow to hold spikes, or says that it is a field potential."""
        slow = self.sampling_frequency_hz < LOWEST_SAMPLING_FREQUENCY_HZ
        return slow or self.kept_as_lfp or LFP.search(self.name) is not None

    @property
    def is_auxiliary(self) -> bool:
        """Whether it is a sync line, an analog input or another signal that is not neural."""
        return AUXILIARY.search(self.name) is not None


def needed_files(
    data_type: str, names: Sequence[PurePosixPath], kwargs: Mapping[str, object]
) -> list[PurePosixPath]:
    """Those of the files in a source that the chosen stream is read from.

    Only SpikeGLX and IBL's compression of it keep each stream in files of its own; of any other
    format every file is needed. Raises `SettingsError` when a stream has to be chosen or is not
    there, and `RecordingError` when the files are of another format, lack a part or are LFP.
    """
    reader = find_reader(data_type)
    if kwargs.get("xml_file_path") is None:
        refuse_lfp_alone(reader.name, names)
    if reader.name in ("zarr", "zarr_array"):
        _refuse_new_zarr(names)
    if reader.name == "spikeglx":
        likely = likely_data_type(names)
        if likely not in (None, "spikeglx") and not any(n.suffix == ".meta" for n in names):
            raise RecordingError(
                f"no SpikeGLX recording among {len(names)} files, which look like {likely}; "
                f"set DATA_TYPE={likely} if that is what they are"
            )
        return files_of_stream(names, kwargs)
    if reader.name == "cbin_ibl":
        return files_of_band(names, kwargs)
    return list(names)


def choose_stream(streams: Sequence[Stream], asked: Mapping[str, object]) -> Stream:
    """The stream that is `asked` for by parameter, or the only one that can be the recording."""
    listing = "; ".join(str(stream) for stream in streams)
    for parameter, value in asked.items():
        matches = [s for s in streams if value == _answer(s, parameter)]
        if not matches:
            raise SettingsError(
                f"READ_RECORDING_KWARGS names {parameter} {value!r}, which is not there; "
                f"there are {listing or 'none'}"
            )
        return matches[0]
    candidates = [stream for stream in streams if not (stream.is_lfp or stream.is_auxiliary)]
    if not candidates:
        raise RecordingError(
            f"nothing here can be sorted: there are {listing or 'no signals'}; spikes need a "
            f"neural signal of {LOWEST_SAMPLING_FREQUENCY_HZ:g} Hz or more, not an LFP; "
            f"{_if_one_has_spikes(streams)}"
        )
    if len(candidates) > 1:
        choices = "; ".join(str(stream) for stream in candidates)
        raise SettingsError(
            f"{len(candidates)} streams could be the recording: {choices}; choose one, "
            f"{_choice_of(candidates[0])}"
        )
    if len(streams) > 1:
        others = ", ".join(s.name for s in streams if s is not candidates[0])
        logger.info("stream: %s; never the recording: %s", candidates[0], others)
    return candidates[0]


def _choice_of(stream: Stream) -> str:
    parameter = "electrical_series_path" if "/" in stream.identifier else "stream_id"
    return f'READ_RECORDING_KWARGS={{"{parameter}": "{stream.identifier}"}}'


def _if_one_has_spikes(streams: Sequence[Stream]) -> str:
    fast = [s for s in streams if s.sampling_frequency_hz >= LOWEST_SAMPLING_FREQUENCY_HZ]
    if not fast:
        return "name the source of the wideband or AP band"
    return f"if spikes are in one of them all the same, choose it, {_choice_of(fast[0])}"


def select_stream(reader: Reader, path: Path, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """`kwargs`, with the stream that is to be read named in them."""
    asked = {name: kwargs[name] for name in CHOOSING if kwargs.get(name) is not None}
    if reader.name == "nwb":
        series = choose_stream(list_electrical_series(path), asked)
        return {**kwargs, "electrical_series_path": series.identifier}
    if not reader.neo_classes or "stream_id" not in reader.parameters:
        return dict(kwargs)
    neo_class = _neo_class(reader, path)
    default = inspect.signature(neo_class).parameters["stream_id"].default
    if default is not None and not asked:  # Alpha Omega's reader knows which of its streams it is
        return dict(kwargs)
    stream = choose_stream(list_neo_streams(neo_class, path, kwargs), asked)
    kept = {name: value for name, value in kwargs.items() if name not in CHOOSING}
    return {**kept, "stream_id": stream.identifier}


def list_neo_streams(neo_class: Any, path: Path, kwargs: Mapping[str, Any]) -> list[Stream]:
    """The streams that the header of a neo-based format lists.

    Raises `SettingsError` when the recording has several blocks (experiments) and none is named.
    """
    neo_kwargs = _neo_kwargs(neo_class, path, kwargs)
    header = neo_class.get_neo_io_reader(neo_class.NeoRawIOClass, **neo_kwargs).header
    if header["nb_block"] > 1 and kwargs.get("block_index") is None:
        raise SettingsError(
            f"{path.name} holds {header['nb_block']} blocks (experiments), which are recordings of "
            'their own; choose one, READ_RECORDING_KWARGS={"block_index": 0}'
        )
    streams = []
    for name, identifier in zip(
        header["signal_streams"]["name"], header["signal_streams"]["id"], strict=True
    ):
        channels = header["signal_channels"][header["signal_channels"]["stream_id"] == identifier]
        rate = float(channels["sampling_rate"][0]) if channels.size else 0.0
        streams.append(
            Stream(
                identifier=str(identifier),
                name=str(name),
                n_channels=int(channels.size),
                sampling_frequency_hz=rate,
            )
        )
    return streams


def list_electrical_series(path: Path | str, stream_mode: str | None = None) -> list[Stream]:
    """The electrical series of an NWB file on this machine or, with `stream_mode`, at a URL."""
    file = read_file_from_backend(file_path=path, stream_mode=stream_mode)
    series: list[Stream] = []

    def visit(name: str, item: Any) -> None:
        if item.attrs.get("neurodata_type") == "ElectricalSeries":
            series.append(_describe_series(item, name, kept_as_lfp=_is_in_lfp(item)))

    try:
        if stream_mode is not None:
            refuse_foreign_links(file, folder=None)
        file.visititems(visit)
    finally:
        if hasattr(file, "close"):  # a Zarr group has nothing to close
            file.close()
    return series


def _refuse_new_zarr(names: Sequence[PurePosixPath]) -> None:
    if any(name.name == "zarr.json" for name in names):
        raise RecordingError(
            "this is Zarr of format 3 (zarr.json), and SpikeInterface reads format 2; save the "
            'recording with recording.save(folder=..., format="binary") and set DATA_TYPE=binary'
        )


def _is_in_lfp(series: Any) -> bool:
    """Whether one of the groups around a series is NWB's container of field potentials."""
    group = series.parent
    while group.name != "/":
        if group.attrs.get("neurodata_type") == "LFP":
            return True
        group = group.parent
    return False


def _describe_series(series: Any, series_path: str, *, kept_as_lfp: bool) -> Stream:
    shape = series["data"].shape
    if "starting_time" in series:
        rate = float(series["starting_time"].attrs["rate"])
    else:
        stamps = series["timestamps"][:1000]
        rate = (len(stamps) - 1) / float(stamps[-1] - stamps[0]) if len(stamps) > 1 else 0.0
    return Stream(
        identifier=series_path,
        name=series_path,
        n_channels=shape[1] if len(shape) > 1 else 1,
        sampling_frequency_hz=round(rate, 3),
        kept_as_lfp=kept_as_lfp,
    )


def _answer(stream: Stream, parameter: str) -> str:
    return stream.name if parameter == "stream_name" else stream.identifier


def _neo_class(reader: Reader, path: Path) -> Any:
    """The class that reads `path`: Open Ephys has two formats, and its old one is told by files."""
    if len(reader.neo_classes) == 1:
        return reader.neo_classes[0]
    legacy = any(".continuous" in file.name and file.is_file() for file in path.iterdir())
    return next(cls for cls in reader.neo_classes if ("Legacy" in cls.__name__) == legacy)


def _neo_kwargs(neo_class: Any, path: Path, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    accepted = inspect.signature(neo_class.map_to_neo_kwargs).parameters
    passed = {name: value for name, value in kwargs.items() if name in accepted}
    if kwargs.get("experiment_name") is not None and "experiment_names" in accepted:
        passed["experiment_names"] = [kwargs["experiment_name"]]
    neo_kwargs: dict[str, Any] = neo_class.map_to_neo_kwargs(str(path), **passed)
    return neo_kwargs
