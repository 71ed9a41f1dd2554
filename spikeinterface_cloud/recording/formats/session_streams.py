"""The streams of a session, by the names and sizes of its files alone.

A laptop lists them before it submits a job for each, and the container lists them in the same way:
so this module needs neither SpikeInterface nor numpy.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from spikeinterface_cloud.config.catalog.snapshot import load_snapshot
from spikeinterface_cloud.config.catalog.validation import resolve_data_type
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.open_ephys_names import (
    ContinuousStream,
    continuous_streams,
    refuse_lost_samples,
    refuse_missing_samples,
)
from spikeinterface_cloud.recording.formats.spikeglx import (
    SpikeGlxFile,
    parse_name,
    stream_files,
)

#: names of signals that are not neural
AUXILIARY = re.compile(
    r"sync|nidq|ni-?daq|obx|adc|\baux|auxiliary|analog|digital|supply|temperature|message"
    r"|\bstim\b|dc amplifier|\becu\b|accel|gyro",
    re.IGNORECASE,
)

#: names of field potentials
LFP = re.compile(r"lfp|(?:^|[^a-z])lf(?:$|[^a-z])|field potential", re.IGNORECASE)

#: a neural stream with so many times fewer samples than another one beside it is an LFP
LFP_RATIO = 6

#: the formats whose sessions are split into streams
SESSION_FORMATS = ("spikeglx", "openephys", "nwb")

#: what stands for every stream that can be sorted
ALL = "all"

#: what stands for no reference clock
NO_CLOCK = "none"

#: the folders beside those of the streams
RESERVED_FOLDERS = ("session", "manifests")


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionStream:
    """One stream of a session."""

    #: `imec0.ap`, `Record Node 101#Neuropix-PXI-100.ProbeA-AP`, `acquisition/ElectricalSeries`
    identifier: str
    #: of its results, below those of the session
    folder: str
    #: the READ_RECORDING_KWARGS that choose it
    kwargs: Mapping[str, Any]
    #: of its samples; None where only the file itself would say it
    size_bytes: int | None

    def is_named(self, name: str) -> bool:
        """Return whether a name in STREAMS or CLOCK means this stream."""
        return name in (self.identifier, self.folder)


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionStreams:
    """All streams of a session."""

    #: the ones with spikes, in the order of their names
    sortable: Sequence[SessionStream]
    #: NI-DAQ, OneBox and the like, whose clock or events can be read
    auxiliary: Sequence[SessionStream]
    #: names of those that are not read at all, like LFP
    ignored: Sequence[str]


def reader_of(data_type: str) -> str:
    """Return the reader that DATA_TYPE names."""
    return resolve_data_type(data_type, load_snapshot().readers)


def list_streams(
    data_type: str,
    files: Mapping[PurePosixPath, int],
    kwargs: Mapping[str, Any] | None = None,
    *,
    folder_name: str = "",
) -> SessionStreams:
    """Return the streams of a session.

    Parameters
    ----------
    data_type
        the reader
    files
        paths inside the source, and sizes in bytes
    kwargs
        READ_RECORDING_KWARGS of all streams, like the experiment of Open Ephys
    folder_name
        name of the source, where it is a local folder
    """
    kwargs = dict(kwargs or {})
    chosen = [name for name in ("stream_id", "stream_name") if kwargs.get(name) is not None]
    if chosen:
        raise SettingsError(
            f"READ_RECORDING_KWARGS: {chosen[0]} chooses one stream, and a session has a job for "
            "each; name the streams to sort in STREAMS instead"
        )
    match reader_of(data_type):
        case "spikeglx":
            return _spikeglx_streams(files, kwargs)
        case "openephys":
            return _open_ephys_streams(files, kwargs, folder_name)
        case "nwb":
            return SessionStreams(sortable=named_series([ALL]), auxiliary=(), ignored=())
        case other:
            raise SettingsError(
                f"DATA_TYPE={other} is not split into streams; sessions are read from "
                f"{', '.join(SESSION_FORMATS)}: submit each recording of another format by itself"
            )


def named_series(
    paths: Sequence[str], kwargs: Mapping[str, Any] | None = None
) -> list[SessionStream]:
    """Return the streams of NWB whose series STREAMS names, as no name of a file does."""
    if list(paths) == [ALL]:
        raise SettingsError(
            "the streams of an NWB file are not in its name; name the series to sort, like "
            "STREAMS=acquisition/ElectricalSeriesProbe1,acquisition/ElectricalSeriesProbe2"
        )
    shorts = {path.strip("/"): path.strip("/").rpartition("/")[2] for path in paths}
    return [
        SessionStream(
            identifier=path,
            folder=folder,
            kwargs={**(kwargs or {}), "electrical_series_path": path},
            size_bytes=None,
        )
        for path, folder in _folders(shorts).items()
    ]


def select_streams(
    streams: Sequence[SessionStream], wanted: Sequence[str] | str
) -> list[SessionStream]:
    """Return the streams that STREAMS names, by identifier or folder; `all` for every one."""
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if names == [ALL]:
        _refuse_recorded_twice(streams)
        return list(streams)
    selected = []
    for name in names:
        matches = [stream for stream in streams if stream.is_named(name)]
        if not matches:
            known = [stream.folder for stream in streams]
            raise SettingsError(
                f"STREAMS: {name!r} is not a stream of the session that can be sorted"
                f"{nearest(name, known)}; there are {', '.join(known)}"
            )
        selected += [stream for stream in matches if stream not in selected]
    return selected


def reference_stream(
    clock: str | None, selected: Sequence[SessionStream], auxiliary: Sequence[SessionStream]
) -> SessionStream | None:
    """Return the stream whose clock all others are mapped to; None for no alignment.

    Parameters
    ----------
    clock
        CLOCK; if it is unset, NI-DAQ's where there is one, else that of the first stream
    """
    if clock == NO_CLOCK:
        return None
    streams = [*auxiliary, *selected]
    if clock is None:
        ni = [stream for stream in auxiliary if re.search("nidq|ni-?daq", stream.identifier, re.I)]
        return next(iter([*ni, *selected]), None)
    for stream in streams:
        if stream.is_named(clock):
            return stream
    known = [stream.folder for stream in streams]
    raise SettingsError(
        f"CLOCK: {clock!r} is not among the streams that are read{nearest(clock, known)}; "
        f"there are {', '.join(known)}; {NO_CLOCK} leaves each stream on its own clock"
    )


# ----- SpikeGLX ----------------------------------------------------------------------------------


def _spikeglx_streams(
    files: Mapping[PurePosixPath, int], kwargs: Mapping[str, Any]
) -> SessionStreams:
    names = list(files)
    parsed = [file for name in names if (file := parse_name(name)) is not None]
    samples = [file for file in parsed if file.ending in ("bin", "cbin")]
    _refuse_headers_alone(parsed)
    streams = sorted({file.stream for file in samples})
    bands = [stream for stream in streams if stream.endswith(".ap")]
    if not bands:
        stream_files(names, {})  # says what is missing
        raise RecordingError(
            "the files of this session have lost the names that SpikeGLX gave them, like "
            "run_g0_t0.imec0.ap.bin; rename them, or submit each recording by itself"
        )
    for stream in bands:
        stream_files(names, {"stream_id": stream})
    _refuse_several_sessions([file for file in samples if not file.stream.endswith(".lf")])

    def described(stream: str) -> SessionStream:
        return SessionStream(
            identifier=stream,
            folder=stream,
            kwargs={**kwargs, "stream_id": stream},
            size_bytes=sum(files[file.path] for file in samples if file.stream == stream),
        )

    return SessionStreams(
        sortable=[described(stream) for stream in bands],
        auxiliary=[described(each) for each in streams if not each.startswith("imec")],
        ignored=[each for each in streams if each.endswith(".lf")],
    )


def _refuse_headers_alone(files: Sequence[SpikeGlxFile]) -> None:
    """Refuse a stream whose samples did not arrive, which would be left out without a word."""
    written = {f.path.with_suffix("") for f in files if f.ending in ("bin", "cbin")}
    if not written:
        return  # the error about the AP band says more
    for file in files:
        is_lfp = file.stream.endswith(".lf")
        if file.ending == "meta" and not is_lfp and file.path.with_suffix("") not in written:
            raise RecordingError(
                f"{file.path} is here without its .bin; put it beside it, or remove the .meta to "
                "leave these samples out"
            )


def _refuse_several_sessions(samples: Sequence[SpikeGlxFile]) -> None:
    """Refuse streams that were not recorded at the same time."""
    runs = sorted({file.run for file in samples})
    if len(runs) > 1:
        raise SettingsError(
            f"there are {len(runs)} runs here: {', '.join(runs)}, which are sessions of their own; "
            "name the folder of one of them as the session"
        )
    gates: dict[str, set[str]] = {}
    for file in samples:
        gates.setdefault(file.stream, set()).add(f"g{file.gate}" if file.gate else "no gate")
    first, *others = sorted(gates)
    for other in others:
        if gates[other] != gates[first]:
            raise SettingsError(
                f"{first} is here with {', '.join(sorted(gates[first]))}, and {other} with "
                f"{', '.join(sorted(gates[other]))}, so that they are not one session; name a "
                "folder with the same gates of all streams"
            )


# ----- Open Ephys --------------------------------------------------------------------------------


def _open_ephys_streams(
    files: Mapping[PurePosixPath, int], kwargs: Mapping[str, Any], folder_name: str
) -> SessionStreams:
    refuse_missing_samples(list(files), kwargs)
    refuse_lost_samples(files)
    if kwargs.get("block_index") is not None:
        raise SettingsError(
            "READ_RECORDING_KWARGS: block_index does not say which folder is read; name the "
            'experiment, {"experiment_name": "experiment1"}'
        )
    found = continuous_streams(files, kwargs.get("experiment_name"), folder_name)
    neural = [stream for stream in found if not AUXILIARY.search(stream.signal)]
    slow = [stream for stream in neural if _is_lfp(stream, neural)]
    sortable = [stream for stream in neural if stream not in slow]
    if not sortable:
        raise RecordingError(
            "there is no stream to sort here, only "
            f"{', '.join(stream.signal for stream in found) or 'folders without samples'}; name "
            "the folder of a session with a neural signal that is not an LFP"
        )
    folders = _folders({stream.name: stream.short_name for stream in found})

    def described(stream: ContinuousStream) -> SessionStream:
        return SessionStream(
            identifier=stream.name,
            folder=folders[stream.name],
            kwargs={**kwargs, "stream_name": stream.name},
            size_bytes=stream.size_bytes,
        )

    return SessionStreams(
        sortable=[described(stream) for stream in sortable],
        auxiliary=[described(each) for each in found if each not in neural],
        ignored=[folders[stream.name] for stream in slow],
    )


def _is_lfp(stream: ContinuousStream, others: Sequence[ContinuousStream]) -> bool:
    """Return whether a stream is named as an LFP, or has far fewer samples than one beside it."""
    return LFP.search(stream.signal) is not None or any(
        0 < n_samples * LFP_RATIO < other.n_samples.get(recording, 0)
        for recording, n_samples in stream.n_samples.items()
        for other in others
    )


def _refuse_recorded_twice(streams: Sequence[SessionStream]) -> None:
    """Refuse a signal that two nodes recorded: its units would be found twice."""
    seen: dict[str, SessionStream] = {}
    for stream in streams:
        node, _, signal = stream.identifier.rpartition("#")
        if node and signal in seen:
            raise SettingsError(
                f"two nodes recorded {signal}, and its units would be found twice; choose with "
                f"STREAMS, by folder: {seen[signal].folder} or {stream.folder}"
            )
        seen[signal] = stream


# ----- folders -----------------------------------------------------------------------------------


def _folders(short_names: Mapping[str, str]) -> dict[str, str]:
    """Return a folder for each stream: its short name where no other one has that."""
    shorts = [_safe(short) for short in short_names.values()]
    folders = {
        identifier: _safe(short)
        if shorts.count(_safe(short)) == 1 and _safe(short) not in RESERVED_FOLDERS
        else _safe(identifier)
        for identifier, short in short_names.items()
    }
    if len(set(folders.values())) < len(folders):
        raise SettingsError(
            f"STREAMS: several of {', '.join(folders)} would write to one folder; submit one of "
            "them by itself"
        )
    return folders


def _safe(name: str) -> str:
    """Return a name that a folder and a key on S3 can have.

    >>> _safe("Record Node 101#Neuropix-PXI-100.ProbeA-AP")
    'Record-Node-101-Neuropix-PXI-100.ProbeA-AP'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
