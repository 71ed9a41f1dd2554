"""Which stream of a file or folder is the recording, and which files it needs.

Acquisition systems write several streams side by side: the AP band of each probe, its LFP, a sync
line, analog inputs. Only the first of these is sorted; where several streams could be the
recording, the user has to choose.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from spikeinterface.extractors.nwbextractors import read_file_from_backend

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats import open_ephys_names
from spikeinterface_cloud.recording.formats.hdf5_links import refuse_foreign_links
from spikeinterface_cloud.recording.formats.lfp_files import refuse_lfp_alone
from spikeinterface_cloud.recording.formats.readers import Reader, find_reader, likely_data_type
from spikeinterface_cloud.recording.formats.spikeglx import ibl_files, stream_files
from spikeinterface_cloud.recording.formats.stream_choice import (
    STREAM_PARAMETERS,
    Stream,
    choose_stream,
    requested_stream,
)
from spikeinterface_cloud.recording.formats.tdt_blocks import refuse_several_blocks
from spikeinterface_cloud.recording.formats.zarr_stores import store_files

#: the method that lists the experiments of Open Ephys' binary format
EXPERIMENTS = "get_available_experiments"


def needed_files(
    data_type: str, names: Sequence[PurePosixPath], kwargs: Mapping[str, object]
) -> list[PurePosixPath]:
    """Return the files of a source that the chosen stream is read from.

    SpikeGLX and IBL keep each stream in files of its own, Open Ephys in folders, which are told
    apart by `stream_name`; other formats need every file.
    """
    reader = find_reader(data_type)
    if kwargs.get("xml_file_path") is None:
        refuse_lfp_alone(reader.name, names)
    if reader.reads_zarr:
        refuse_zarr_3(names)
        return store_files(reader.name, names)
    if reader.name == "openephys":
        open_ephys_names.refuse_missing_samples(names, kwargs)
        name = kwargs.get("stream_name")
        return list(names) if name is None else open_ephys_names.stream_files(names, str(name))
    if reader.name == "spikeglx":
        likely = likely_data_type(names)
        if likely not in (None, "spikeglx") and not any(n.suffix == ".meta" for n in names):
            raise RecordingError(
                f"no SpikeGLX recording among {len(names)} files, which look like {likely}; "
                f"if they are, set DATA_TYPE={likely}"
            )
        return stream_files(names, kwargs)
    if reader.name == "cbin_ibl":
        return ibl_files(names, kwargs)
    if reader.name == "tdt":
        refuse_several_blocks(names)
    return list(names)


def select_stream(reader: Reader, path: Path, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return `kwargs` that name the stream to read."""
    requested = requested_stream(kwargs)
    if reader.name == "nwb":
        series = choose_stream(list_electrical_series(path), requested)
        return {**kwargs, "electrical_series_path": series.identifier}
    if not reader.neo_classes or "stream_id" not in reader.parameters:
        return dict(kwargs)
    neo_class = _neo_class(reader, path)
    if reader.name == "openephys":
        kwargs = _with_experiment_name(neo_class, path, kwargs)
    default = inspect.signature(neo_class).parameters["stream_id"].default
    if default is not None and not requested:  # Alpha Omega's reader has a default stream
        return dict(kwargs)
    streams = _list_neo_streams(neo_class, path, kwargs)
    if reader.name == "neuralynx" and not requested:
        _refuse_parts(streams)
    stream = choose_stream(streams, requested)
    kept = {name: value for name, value in kwargs.items() if name not in STREAM_PARAMETERS}
    return {**kept, "stream_id": stream.identifier}


def _refuse_parts(streams: Sequence[Stream]) -> None:
    """Refuse channels of a Neuralynx folder that neo divides by their input range or filters."""
    parts = [stream for stream in streams if not (stream.is_lfp or stream.is_auxiliary)]
    if len(parts) < 2 or len({part.sampling_frequency_hz for part in parts}) > 1:
        return
    raise SettingsError(
        f"the channels have {len(parts)} different input ranges or filters, and the reader (neo) "
        f"makes a stream of each ({'; '.join(map(str, parts))}), which it cannot sort together; "
        "join them with spikeinterface.aggregate_channels([read_neuralynx(folder, stream_id=...), "
        "...]).save(folder=...) and set DATA_TYPE=binary, or sort one without the channels of the "
        f'others, READ_RECORDING_KWARGS={{"stream_id": "{parts[0].identifier}"}}'
    )


def _with_experiment_name(
    neo_class: Any, path: Path, kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Name the experiment instead of its number: neo takes the gains of the first one for all."""
    number = kwargs.get("block_index")
    if not hasattr(neo_class, EXPERIMENTS) or number is None or kwargs.get("experiment_name"):
        return kwargs
    names = getattr(neo_class, EXPERIMENTS)(path)
    if not 0 <= int(number) < len(names):
        raise SettingsError(
            f"READ_RECORDING_KWARGS names block_index {number}, and there are {len(names)} "
            f"experiments ({', '.join(names)}), counted from 0"
        )
    others = {name: value for name, value in kwargs.items() if name != "block_index"}
    return {**others, "experiment_name": str(names[int(number)])}


def _block_choice(neo_class: Any, path: Path) -> str:
    if hasattr(neo_class, EXPERIMENTS):
        return f'{{"experiment_name": "{getattr(neo_class, EXPERIMENTS)(path)[0]}"}}'
    return '{"block_index": 0}'


def _list_neo_streams(neo_class: Any, path: Path, kwargs: Mapping[str, Any]) -> list[Stream]:
    neo_kwargs = _neo_kwargs(neo_class, path, kwargs)
    header = neo_class.get_neo_io_reader(neo_class.NeoRawIOClass, **neo_kwargs).header
    if header["nb_block"] > 1 and kwargs.get("block_index") is None:
        raise SettingsError(
            f"{path.name} holds {header['nb_block']} blocks (experiments), which are separate "
            f"recordings; choose one, READ_RECORDING_KWARGS={_block_choice(neo_class, path)}"
        )
    streams = []
    for stream in header["signal_streams"]:
        channels = header["signal_channels"][header["signal_channels"]["stream_id"] == stream["id"]]
        rate = float(channels["sampling_rate"][0]) if channels.size else 0.0
        streams.append(
            Stream(
                identifier=str(stream["id"]),
                name=str(stream["name"]),
                n_channels=int(channels.size),
                sampling_frequency_hz=rate,
            )
        )
    return streams


def list_electrical_series(path: Path | str, stream_mode: str | None = None) -> list[Stream]:
    """Return the electrical series of an NWB file, local or, with `stream_mode`, at a URL."""
    file = read_file_from_backend(file_path=path, stream_mode=stream_mode)
    try:
        if stream_mode is not None:
            refuse_foreign_links(file, folder=None)
        return electrical_series(file)
    finally:
        if hasattr(file, "close"):  # a Zarr group has nothing to close
            file.close()


def electrical_series(file: Any) -> list[Stream]:
    """Return the electrical series of an open NWB file, an `h5py.File` or a `zarr.Group`."""
    series: list[Stream] = []

    def visit(name: str, item: Any) -> None:
        if item.attrs.get("neurodata_type") == "ElectricalSeries":
            series.append(_describe_series(file, item, name))

    file.visititems(visit)
    return series


def refuse_zarr_3(names: Sequence[PurePosixPath]) -> None:
    """Raise `RecordingError` if there is a store of Zarr's format 3."""
    if any(name.name == "zarr.json" for name in names):
        raise RecordingError(
            "this is Zarr of format 3 (zarr.json), but SpikeInterface reads format 2; save the "
            'recording with recording.save(folder=..., format="binary") and set DATA_TYPE=binary'
        )


def _is_in_lfp(file: Any, series_path: str) -> bool:
    """Return whether a series is inside NWB's container of field potentials."""
    groups = [file[str(path)] for path in PurePosixPath(series_path).parents if path.name]
    return any(group.attrs.get("neurodata_type") == "LFP" for group in groups)


def _describe_series(file: Any, series: Any, series_path: str) -> Stream:
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
        in_lfp_container=_is_in_lfp(file, series_path),
    )


def _neo_class(reader: Reader, path: Path) -> Any:
    """Return the class that reads `path`; Open Ephys has one for each of its two formats."""
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
