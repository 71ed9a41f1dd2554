"""The recording that every layout holds: known samples, and neurons that a sorter has to find."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from probeinterface import Probe
from spikeinterface.core import BaseRecording, NumpyRecording

from tests.support.layouts import Neuron, Signals, record
from tests.support.recordings import AP_GAIN_UV, neuropixels_probe

RATE_HZ = 30_000.0
N_CHANNELS = 8

#: whole records of every format: of 1024, 512, 256 and 128 samples
N_FRAMES = 150 * 1024

#: with this one the neurons lie on channels of their own
SEED = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What a recording holds."""

    #: samples as numbers of the file, of each segment, of shape (frames, channels)
    segments: tuple[np.ndarray, ...]
    rate_hz: float = RATE_HZ
    #: microvolts of a step; None: the format cannot say it
    gain_uv: float | None = AP_GAIN_UV
    #: planted spikes, in frames of all segments together; `amplitude_uv` at `AP_GAIN_UV`
    neurons: tuple[Neuron, ...]
    #: of a step in the file, if that is another
    file_gain_uv: float | None = None
    #: of the channels, of shape (channels, 2); None: those of `probe`
    places_um: np.ndarray | None = None

    @property
    def n_channels(self) -> int:
        """The number of channels."""
        return int(self.segments[0].shape[1])

    @property
    def samples(self) -> np.ndarray:
        """The samples of all segments together."""
        return np.concatenate(self.segments)

    @property
    def n_frames(self) -> int:
        """The number of samples of a channel in all segments together."""
        return sum(len(segment) for segment in self.segments)

    @property
    def duration_s(self) -> float:
        """The duration of all segments together."""
        return self.n_frames / self.rate_hz

    @property
    def probe(self) -> Probe:
        """The probe, wired in the order of the channels."""
        return neuropixels_probe(self.n_channels)

    @property
    def recording(self) -> BaseRecording:
        """The recording in memory, with its probe and gain."""
        recording = NumpyRecording(list(self.segments), self.rate_hz)
        recording.set_channel_gains(AP_GAIN_UV if self.gain_uv is None else self.gain_uv)
        recording.set_channel_offsets(0.0)
        recording.set_probe(self.probe)
        return recording

    def amplitude_uv(self, neuron: Neuron) -> float:
        """Return the depth of a neuron's spikes, in steps where the format has no gain."""
        steps = neuron.amplitude_uv / AP_GAIN_UV
        return steps * (1.0 if self.gain_uv is None else self.gain_uv)

    def with_samples(self, samples: np.ndarray) -> "Truth":
        """Return a recording of one segment with other samples."""
        return replace(self, segments=(samples,))

    def first(self, n_frames: int) -> "Truth":
        """Return the first samples, as one segment."""
        return self.with_samples(self.samples[:n_frames])

    def split(self, frames: Sequence[int]) -> "Truth":
        """Return the same samples in segments that begin at 0 and at `frames`."""
        return replace(self, segments=tuple(np.split(self.samples, list(frames))))


def simulate_truth(n_frames: int = N_FRAMES) -> Truth:
    """Simulate three neurons on eight contacts of a Neuropixels probe."""
    positions = neuropixels_probe(N_CHANNELS).contact_positions
    duration_s = n_frames / RATE_HZ
    simulated, neurons = record([positions], Signals(n_neurons=3, duration_s=duration_s, seed=SEED))
    microvolts = simulated.get_traces(return_in_uV=True)
    counts = np.round(microvolts / AP_GAIN_UV).astype("int16")
    return Truth(segments=(counts,), neurons=tuple(neurons))
