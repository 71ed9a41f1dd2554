"""Which of the streams of a file or folder is the recording, by what is known of them.

A laptop counts the samples of the stream that the container sorts, so this module needs neither
SpikeInterface nor numpy.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.session_streams import AUXILIARY, LFP

logger = logging.getLogger(__name__)

#: signals that are sampled slower contain no spikes
LOWEST_SAMPLING_FREQUENCY_HZ = 5000.0

#: the parameters of READ_RECORDING_KWARGS that choose a stream
STREAM_PARAMETERS = ("stream_id", "stream_name", "electrical_series_path")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """One of the signals in a file or folder."""

    #: a `stream_id`, or a path inside an NWB file
    identifier: str
    name: str
    n_channels: int
    #: NaN if it is unknown
    sampling_frequency_hz: float
    #: whether it is in NWB's container of field potentials, whatever its name
    in_lfp_container: bool = False

    def __str__(self) -> str:
        """Return identifier, name, number of channels and rate, for messages."""
        title = self.identifier
        if self.name != self.identifier:
            title += f" ({self.name})"
        rate = self.sampling_frequency_hz
        at = "an unknown rate" if math.isnan(rate) else f"{rate:g} Hz"
        return f"{title}: {self.n_channels} channels at {at}"

    @property
    def is_lfp(self) -> bool:
        """Whether it is too slow to contain spikes, or named or stored as a field potential."""
        slow = self.sampling_frequency_hz < LOWEST_SAMPLING_FREQUENCY_HZ
        return slow or self.in_lfp_container or LFP.search(self.name) is not None

    @property
    def is_auxiliary(self) -> bool:
        """Whether it is a sync line, an analog input or another signal that is not neural."""
        return AUXILIARY.search(self.name) is not None


def choose_stream(streams: Sequence[Stream], requested: Mapping[str, object]) -> Stream:
    """Return the stream that `pick_stream` does, and log it if there are others."""
    chosen = pick_stream(streams, requested)
    if len(streams) > 1 and not requested:
        others = ", ".join(stream.name for stream in streams if stream is not chosen)
        logger.info("stream: %s; not sorted: %s", chosen, others)
    return chosen


def pick_stream(streams: Sequence[Stream], requested: Mapping[str, object]) -> Stream:
    """Return the stream that is `requested` by parameter, or the only one that can be sorted."""
    listing = "; ".join(str(stream) for stream in streams)
    for parameter, value in requested.items():
        by_name = parameter == "stream_name"
        matches = [s for s in streams if value == (s.name if by_name else s.identifier)]
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
            f"neural signal of {LOWEST_SAMPLING_FREQUENCY_HZ:g} Hz or more that is not an LFP; "
            f"{_remedy(streams)}"
        )
    if len(candidates) > 1:
        choices = "; ".join(str(stream) for stream in candidates)
        raise SettingsError(
            f"{len(candidates)} streams could be the recording: {choices}; choose one, "
            f"{_parameter_for(candidates[0])}"
        )
    return candidates[0]


def _parameter_for(stream: Stream) -> str:
    parameter = "electrical_series_path" if "/" in stream.identifier else "stream_id"
    return f'READ_RECORDING_KWARGS={{"{parameter}": "{stream.identifier}"}}'


def _remedy(streams: Sequence[Stream]) -> str:
    fast = [s for s in streams if s.sampling_frequency_hz >= LOWEST_SAMPLING_FREQUENCY_HZ]
    if not fast:
        return "name the wideband or AP band as the source"
    return f"if one of them contains spikes nevertheless, choose it, {_parameter_for(fast[0])}"


def requested_stream(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters among `kwargs` that choose a stream."""
    return {name: kwargs[name] for name in STREAM_PARAMETERS if kwargs.get(name) is not None}
