"""What was recorded: the probe with its bad channels, traces and spectrum, the drift map."""

from collections.abc import Mapping

import numpy as np

from spikeinterface_cloud.report.axis import Axis, spanning
from spikeinterface_cloud.report.colors import BLUE, DARK, GREY, ORANGE, SKY_BLUE, VERMILLION
from spikeinterface_cloud.report.peaks import EXCERPT_S, Peaks
from spikeinterface_cloud.report.plot import Figure, Plot, legend, missing
from spikeinterface_cloud.report.sample import Contacts, RecordingSample, Signal

NOT_SAMPLED = "The job ended before the recording was preprocessed, or could not sample it."
NO_PROBE = "The recording does not say where its channels are."

#: lines of the excerpt lie so many times the typical range apart
SPREAD = 1.6

#: and are cut off at so many of these distances, as a noisy channel would hide the others
MOST_HEIGHT = 0.9

#: colors of the drift map, from the smallest amplitudes to the largest
AMPLITUDE_COLORS = (GREY, SKY_BLUE, BLUE, DARK)
AMPLITUDE_QUANTILES = (0.0, 0.5, 0.8, 0.95, 1.0)


def recorded_figures(sample: RecordingSample | None) -> list[Figure]:
    """Return the figures of the recording itself."""
    if sample is None:
        titles = ("Probe", "Spectrum", "Traces before preprocessing", "Traces after preprocessing")
        return [missing(title, NOT_SAMPLED) for title in titles]
    bad = sample.contacts.bad if sample.contacts else {}
    return [
        _probe(sample.contacts),
        _spectrum(sample.before, sample.after),
        _traces("Traces before preprocessing", sample.excerpt_start_s, sample.before, bad),
        _traces("Traces after preprocessing", sample.excerpt_start_s, sample.after, bad),
    ]


def drift_figures(sample: RecordingSample | None) -> list[Figure]:
    """Return the drift map, and the rate of peaks by depth."""
    titles = ("Drift map", "Peaks by depth")
    if sample is None:
        return [missing(title, NOT_SAMPLED) for title in titles]
    if sample.contacts is None:
        return [missing(title, NO_PROBE) for title in titles]
    if not sample.contacts.has_depth:
        return [missing(title, "All channels lie at the same depth.") for title in titles]
    if sample.peaks is None:
        return [
            missing(title, "The peaks could not be found; run.log says why.") for title in titles
        ]
    if sample.peaks.n_found == 0:
        return [missing(title, "There are no peaks in this recording.") for title in titles]
    depth = spanning("depth (µm)", sample.contacts.y_um)
    return [_drift_map(sample, sample.peaks, depth), _peaks_by_depth(sample.peaks, depth)]


def _probe(contacts: Contacts | None) -> Figure:
    if contacts is None:
        return missing("Probe", NO_PROBE)
    plot = Plot(spanning("across (µm)", contacts.x_um, 0.2), spanning("depth (µm)", contacts.y_um))
    is_bad = np.array([name in contacts.bad for name in contacts.channel_ids])
    dense = len(is_bad) > 64
    plot.dots(contacts.x_um[~is_bad], contacts.y_um[~is_bad], BLUE, 3 if dense else 7)
    entries = [legend(f"{int((~is_bad).sum())} good channels", (BLUE, "circle"))]
    for label in sorted(set(contacts.bad.values())):
        style = (VERMILLION, "cross") if label != "out" else (ORANGE, "triangle")
        chosen = [contacts.bad.get(name) == label for name in contacts.channel_ids]
        names = [name for name in contacts.channel_ids if contacts.bad.get(name) == label]
        titles = [f"{name}: {label}" for name in names]
        plot.marks(contacts.x_um[chosen], contacts.y_um[chosen], style, titles)
        entries.append(legend(f"{label}: {', '.join(names)}", style))
    caption = (
        f"{len(contacts.bad)} of {len(is_bad)} channels were left out."
        if contacts.bad
        else "No channel was left out."
    )
    return Figure(
        title="Probe",
        plot=plot.draw("The contacts of the probe, bad channels marked"),
        caption=f"{caption} The two directions have scales of their own.",
        legend=tuple(entries),
    )


def _spectrum(before: Signal, after: Signal) -> Figure:
    same_unit = before.unit == after.unit
    powers = [s.power_low for s in (before, after)] + [s.power_high for s in (before, after)]
    positive = np.concatenate([power[power > 0] for power in powers])
    if not positive.size:
        return missing("Spectrum", "The channels are silent.")
    top = float(positive.max())
    y = Axis(
        label=f"power ({before.unit}²/Hz)",
        lower=max(float(positive.min()), top * 1e-9) / 1.5,
        upper=top * 1.5,
        logarithmic=True,
    )
    frequencies = before.frequency_hz
    x = Axis(
        label="frequency (Hz)",
        lower=float(frequencies[0]),
        upper=float(frequencies[-1]),
        logarithmic=True,
    )
    plot = Plot(x, y)
    for signal, color in ((before, GREY), (after, BLUE)):
        chosen = _evenly_in_logarithm(len(signal.frequency_hz))
        low, median, high = (
            np.maximum(power[chosen], y.lower)
            for power in (signal.power_low, signal.power_median, signal.power_high)
        )
        plot.band(signal.frequency_hz[chosen], low, high, color)
        plot.line(signal.frequency_hz[chosen], median, color, 1.8)
    return Figure(
        title="Spectrum",
        plot=plot.draw("Power spectral density before and after preprocessing"),
        caption="Median over channels; the bands hold 80 % of them."
        + ("" if same_unit else f" Before in {before.unit}, after in {after.unit}."),
        legend=(
            legend("before preprocessing", (GREY, "square")),
            legend("after preprocessing", (BLUE, "square")),
        ),
    )


def _traces(title: str, start_s: float, signal: Signal, bad: Mapping[str, str]) -> Figure:
    n_samples, n_channels = signal.traces.shape
    if n_channels == 0:
        return missing(title, "None of the channels was kept.")
    usual = [index for index, name in enumerate(signal.channel_ids) if name not in bad]
    ranges = np.ptp(signal.traces[:, usual or slice(None)], axis=0)
    distance = float(np.median(ranges)) * SPREAD or 1.0
    milliseconds = np.arange(n_samples) / signal.sampling_frequency_hz * 1000
    plot = Plot(
        Axis(label="time (ms)", lower=0.0, upper=float(milliseconds[-1])),
        Axis(label="channel, by depth", lower=-0.8, upper=n_channels - 0.2, without_ticks=True),
    )
    for index, name in enumerate(signal.channel_ids):
        x, y = _extremes(milliseconds, signal.traces[:, index])
        within = np.clip(y / distance, -MOST_HEIGHT, MOST_HEIGHT)
        plot.line(x, index + within, VERMILLION if name in bad else DARK, 0.8)
    shown_bad = [name for name in signal.channel_ids if name in bad]
    entries = [
        legend(f"{n_channels - len(shown_bad)} channels spread over the probe", (DARK, "square"))
    ]
    if shown_bad:
        entries.append(legend(f"left out: {', '.join(shown_bad)}", (VERMILLION, "square")))
    where = f"{1000 * n_samples / signal.sampling_frequency_hz:.0f} ms at {start_s:.1f} s"
    return Figure(
        title=title,
        plot=plot.draw(title),
        caption=f"{where}; lines are {distance:.3g} {signal.unit} apart.",
        legend=tuple(entries),
    )


def _drift_map(sample: RecordingSample, peaks: Peaks, depth: Axis) -> Figure:
    durations = sample.segment_durations_s
    plot = Plot(Axis(label="time (s)", lower=0.0, upper=sum(durations)), depth)
    borders = np.quantile(peaks.amplitude, AMPLITUDE_QUANTILES)
    entries = []
    for color, lower, upper in zip(AMPLITUDE_COLORS, borders[:-1], borders[1:], strict=True):
        chosen = (peaks.amplitude >= lower) & (peaks.amplitude <= upper)
        plot.dots(peaks.time_s[chosen], peaks.depth_um[chosen], color, 1.6)
        entries.append(legend(f"{lower:.0f} to {upper:.0f} {peaks.unit}", (color, "circle")))
    plot.verticals(np.cumsum(durations)[:-1], VERMILLION)
    borders_told = " Dashed: borders of segments." if len(durations) > 1 else ""
    return Figure(
        title="Drift map",
        plot=plot.draw("Depth of the detected peaks over time"),
        caption=(
            f"{len(peaks.time_s):,} of {peaks.n_found:,} peaks in {peaks.looked_at_s:.0f} s of the "
            f"preprocessed recording, excerpts of {EXCERPT_S:g} s from all of it.{borders_told}"
        ),
        legend=tuple(entries),
    )


def _peaks_by_depth(peaks: Peaks, depth: Axis) -> Figure:
    edges = np.linspace(depth.lower, depth.upper, 65)
    counts, _ = np.histogram(peaks.depth_um, edges)
    rates = counts / len(peaks.depth_um) * peaks.n_found / peaks.looked_at_s
    upper = float(rates.max()) * 1.05
    plot = Plot(Axis(label="peaks per second", lower=0.0, upper=upper), depth)
    plot.bars(edges, rates, BLUE)
    return Figure(
        title="Peaks by depth",
        plot=plot.draw("Peaks per second at each depth"),
        caption=f"In bins of {edges[1] - edges[0]:.0f} µm.",
    )


def _extremes(x: np.ndarray, y: np.ndarray, n_bins: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Thin a line to the lowest and the highest value of each bin, so that no spike is lost."""
    if len(y) <= 2 * n_bins:
        return x, y
    length = len(y) // n_bins
    binned = y[: n_bins * length].reshape(n_bins, length)
    places = np.sort(np.stack([binned.argmin(axis=1), binned.argmax(axis=1)], axis=1), axis=1)
    indices = (places + np.arange(n_bins)[:, None] * length).ravel()
    return x[indices], y[indices]


def _evenly_in_logarithm(n: int, most: int = 220) -> np.ndarray:
    return np.unique(np.geomspace(1, n, most).astype(int)) - 1
