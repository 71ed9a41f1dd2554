"""Arrays of channels with known spikes, common noise and bad channels, as recordings in memory.

Each layout is a list of groups, each of contacts x 2 positions in um.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import probeinterface as pi
import spikeinterface as si

SAMPLING_FREQUENCY_HZ = 30000.0
GAIN_UV = 0.195
NOISE_UV = 6.0

#: of a spike, exponentially with the distance from its neuron
DECAY_UM = 25.0

Group = np.ndarray


def linear(n_contacts: int, pitch_um: float = 25.0, x_um: float = 0.0) -> Group:
    """Place contacts in one column."""
    return np.array([(x_um, pitch_um * c) for c in range(n_contacts)])


def staggered(n_contacts: int, x_um: float = 0.0) -> Group:
    """Place contacts in two columns, 20 um apart, as on a dense shank."""
    return np.array([(x_um + 20.0 * (c % 2), 20.0 * (c // 2)) for c in range(n_contacts)])


def tetrodes(n_tetrodes: int, pitch_um: float = 300.0) -> list[Group]:
    """Place four wires each, 20 um apart."""
    wires = np.array([(0.0, 0.0), (20.0, 0.0), (0.0, 20.0), (20.0, 20.0)])
    return [wires + np.array([pitch_um * t, 0.0]) for t in range(n_tetrodes)]


def square(n_contacts: int, pitch_um: float) -> Group:
    """Place contacts in a square grid."""
    return np.array(
        [(pitch_um * x, pitch_um * y) for x in range(n_contacts) for y in range(n_contacts)]
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Signals:
    """Signals on the channels of a layout, besides independent noise."""

    #: amplitude of noise above 300 Hz that all channels of an area share
    common_uv: float = 0.0
    #: range of the channels' shares of it
    shares: tuple[float, float] = (0.9, 1.1)
    #: range of the channels' own noise, as multiples of the usual one
    noise: tuple[float, float] = (0.8, 1.25)
    #: the area of each group; None: all groups are in one
    areas: Sequence[int] | None = None
    #: channels with almost no signal
    dead: Sequence[int] = ()
    #: channels with ten times the noise
    noisy: Sequence[int] = ()
    n_neurons: int = 8
    duration_s: float = 3.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Neuron:
    """A true neuron: position, amplitude and spike times."""

    channel: int
    amplitude_uv: float
    frames: np.ndarray


def record(groups: Sequence[Group], signals: Signals) -> tuple[si.BaseRecording, list[Neuron]]:
    """Simulate an int16 recording with a probe for each group; return its neurons too."""
    rng = np.random.default_rng(signals.seed)
    locations = np.concatenate(groups)
    sizes = [len(group) for group in groups]
    n_frames = int(signals.duration_s * SAMPLING_FREQUENCY_HZ)
    traces = rng.normal(0, NOISE_UV, (n_frames, len(locations)))
    traces *= rng.uniform(*signals.noise, len(locations))
    neurons = [_add_neuron(traces, locations, rng) for _ in range(signals.n_neurons)]
    areas = np.zeros(len(sizes), int) if signals.areas is None else np.array(signals.areas)
    shared = _band_noise(rng, n_frames, int(areas.max()) + 1) * signals.common_uv
    traces += shared[:, np.repeat(areas, sizes)] * rng.uniform(*signals.shares, len(locations))
    for channel in signals.dead:
        traces[:, channel] = rng.normal(0, 0.1 * NOISE_UV, n_frames)
    for channel in signals.noisy:
        traces[:, channel] += rng.normal(0, 10 * NOISE_UV, n_frames)
    return _as_recording(traces, groups), neurons


def with_samples(recording: si.BaseRecording, samples: np.ndarray) -> si.BaseRecording:
    """Return a recording as this one of other samples, of one segment."""
    changed = si.NumpyRecording([samples], recording.sampling_frequency)
    changed.set_channel_gains(recording.get_channel_gains())
    changed.set_channel_offsets(recording.get_channel_offsets())
    changed.set_probegroup(recording.get_probegroup())
    return changed


def _add_neuron(traces: np.ndarray, locations: np.ndarray, rng: np.random.Generator) -> Neuron:
    channel = int(rng.integers(len(locations)))
    amplitude_uv = float(rng.uniform(150, 300))
    ms = np.arange(-30, 60) / SAMPLING_FREQUENCY_HZ * 1000
    wave = -np.exp(-((ms / 0.15) ** 2)) + 0.35 * np.exp(-(((ms - 0.5) / 0.3) ** 2))
    distances = np.linalg.norm(locations - locations[channel], axis=1)
    heights = amplitude_uv * np.exp(-distances / DECAY_UM)
    seen = np.flatnonzero(heights > 0.5)
    template = np.outer(wave, heights[seen])
    gaps = rng.exponential(0.1, int(20 * len(traces) / SAMPLING_FREQUENCY_HZ)) + 0.003
    frames = (np.cumsum(gaps) * SAMPLING_FREQUENCY_HZ).astype(int)
    frames = frames[(frames > 60) & (frames < len(traces) - 90)]
    for frame in frames:
        traces[frame - 30 : frame + 60, seen] += template
    return Neuron(channel=channel, amplitude_uv=amplitude_uv * -wave.min(), frames=frames)


def _band_noise(rng: np.random.Generator, n_frames: int, n_sources: int) -> np.ndarray:
    """Noise between 300 and 6,000 Hz with a standard deviation of 1: frames x sources."""
    spectrum = np.fft.rfft(rng.normal(size=(n_frames, n_sources)), axis=0)
    frequencies = np.fft.rfftfreq(n_frames, 1 / SAMPLING_FREQUENCY_HZ)
    spectrum[(frequencies < 300) | (frequencies > 6000)] = 0
    noise = np.fft.irfft(spectrum, n_frames, axis=0)
    scaled: np.ndarray = noise / noise.std(axis=0)
    return scaled


def _as_recording(traces: np.ndarray, groups: Sequence[Group]) -> si.BaseRecording:
    counts = np.clip(np.round(traces / GAIN_UV), -32768, 32767).astype("int16")
    recording = si.NumpyRecording([counts], SAMPLING_FREQUENCY_HZ)
    recording.set_channel_gains(GAIN_UV)
    recording.set_channel_offsets(0.0)
    probes = pi.ProbeGroup()
    for group in groups:
        probe = pi.Probe(ndim=2)
        probe.set_contacts(group, shape_params={"radius": 6})
        probes.add_probe(probe)
    probes.set_global_device_channel_indices(np.arange(traces.shape[1]))
    recording.set_probegroup(probes)
    return recording
