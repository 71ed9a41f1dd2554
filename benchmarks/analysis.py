"""Time and peak memory of the analysis, for a recording and one five times as long.

    python benchmarks/analysis.py [--duration-s 60] [--channels 64] [--units 60]
    python benchmarks/analysis.py --channels 384 --units 400 --duration-s 120

The analysis is that of the job, labels and saving included, on the view that the job has of an
unfiltered recording: each pass filters it again. The sorting is the simulation's own. The figures
are of a process of its own; mapped pages of files count as memory. What is on disk is a piece of
30 s, however long the recording: it is the same piece again and again, with the same spikes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import numpy as np
    import spikeinterface as si

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from table import Taken, measure, print_head, print_memory, print_seconds  # noqa: E402

#: files and folders in the folder in which the analysis works
RECORDING = "recording"
SORTING = "sorting"
RESULTS = "results"

#: length of the piece that a recording is made of
PIECE_S = 30

SAMPLING_FREQUENCY = 30000.0

#: around the spikes of a unit, and how often there is one
MS_BEFORE, MS_AFTER = 1.0, 3.0
FIRING_RATE_HZ = 10.0

#: of a template, the channels that have at least this share of its largest amplitude
LEAST_AMPLITUDE = 0.02

NOISE_UV = 5.0

VIEW = [
    {"name": "highpass_filter", "params": {"freq_min": 300.0}},
    {"name": "common_reference", "params": {"reference": "global", "operator": "median"}},
]


@click.command()
@click.option("--rounds", default=1, show_default=True, help="rounds, of which medians are taken")
@click.option("--duration-s", default=60, help="length of the short recording, 60 by default")
@click.option("--channels", default=64, show_default=True, help="channels of both recordings")
@click.option("--units", default=60, show_default=True, help="units of both recordings")
@click.option("--longer", default=5, show_default=True, help="how much the other one is longer")
def main(rounds: int, duration_s: int, channels: int, units: int, longer: int) -> None:
    """Print what the analysis takes by recorded minute, and its peak memory."""
    lengths_s = (duration_s, longer * duration_s)
    taken: dict[int, list[Taken]] = {length_s: [] for length_s in lengths_s}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, channels, units)
        for length_s in lengths_s:
            for _ in range(rounds):
                command = [sys.executable, __file__, "--analyze", str(length_s)]
                taken[length_s].append(measure(command, {}, folder))
                shutil.rmtree(folder / RESULTS)
    print_head(
        f"analysis, {channels} channels, {units} units", *(f"{length} s" for length in lengths_s)
    )
    for label, unit in (("a recorded minute", "wall_s"), ("  CPU of it", "cpu_s")):
        short, long = (
            [60.0 * getattr(one, unit) / length_s for one in taken[length_s]]
            for length_s in lengths_s
        )
        print_seconds(label, short, long, "")
    peaks = [max(one.peak_memory_mib for one in taken[length_s]) for length_s in lengths_s]
    print_memory("peak memory", peaks[0], peaks[1], "")


def write(folder: Path, channels: int, units: int) -> None:
    """Write a piece of the recording: the same noise each second, and spikes."""
    import numpy as np
    import spikeinterface as si
    from spikeinterface.core.generate import (
        generate_sorting,
        generate_templates,
        generate_unit_locations,
    )

    from tests.support.recordings import AP_GAIN_UV, neuropixels_probe

    probe = neuropixels_probe(channels)
    generator = np.random.default_rng(0)
    places = generate_unit_locations(units, probe.contact_positions, seed=0)
    templates = generate_templates(
        probe.contact_positions, places, SAMPLING_FREQUENCY, MS_BEFORE, MS_AFTER, seed=0
    )
    sorting = generate_sorting(
        num_units=units,
        sampling_frequency=SAMPLING_FREQUENCY,
        durations=[float(PIECE_S)],
        firing_rates=FIRING_RATE_HZ,
        seed=0,
    )
    second = int(SAMPLING_FREQUENCY)
    noise = generator.normal(0.0, NOISE_UV, (second, channels)).astype("float32")
    traces = np.tile(noise, (PIECE_S, 1))
    add_spikes(traces, templates, sorting)
    recording = si.NumpyRecording((traces / AP_GAIN_UV).astype("int16"), SAMPLING_FREQUENCY)
    recording.set_probe(probe)
    recording.set_channel_gains(AP_GAIN_UV)
    recording.set_channel_offsets(0.0)
    recording.save(folder=folder / RECORDING, progress_bar=False)
    sorting.save(folder=folder / SORTING)


def add_spikes(traces: np.ndarray, templates: np.ndarray, sorting: si.BaseSorting) -> None:
    """Add a unit's template to the traces, (n_samples, n_channels) in uV, at each of its spikes."""
    before = int(MS_BEFORE / 1000.0 * SAMPLING_FREQUENCY)
    n_samples = templates.shape[1]
    for index, unit in enumerate(sorting.unit_ids):
        amplitudes = abs(templates[index]).max(axis=0)
        near = amplitudes >= LEAST_AMPLITUDE * amplitudes.max()
        template = templates[index][:, near].astype(traces.dtype)
        for spike in sorting.get_unit_spike_train(unit):
            start = spike - before
            if start >= 0 and start + n_samples <= len(traces):
                traces[start : start + n_samples, near] += template


def opened(length_s: int) -> tuple[si.BaseRecording, si.BaseSorting]:
    """The recording of that length, made of the piece, and its spikes."""
    import numpy as np
    import spikeinterface as si

    n_pieces = max(1, length_s // PIECE_S)
    sorting = si.load(SORTING)
    spikes = sorting.to_spike_vector()
    tiled = np.tile(spikes, n_pieces)
    piece = int(PIECE_S * SAMPLING_FREQUENCY)
    tiled["sample_index"] += np.repeat(np.arange(n_pieces) * piece, len(spikes))
    recording = si.concatenate_recordings([si.load(RECORDING)] * n_pieces)
    return recording, si.NumpySorting(tiled, SAMPLING_FREQUENCY, sorting.unit_ids)


def analyze(length_s: int) -> None:
    """Analyze the sorting of a recording of that length as a job does."""
    import spikeinterface as si
    from spikeinterface.preprocessing import apply_preprocessing_pipeline

    from spikeinterface_cloud.analysis.analyzer import AnalysisFolders
    from spikeinterface_cloud.analysis.analyzer import analyze as analyze_sorting
    from spikeinterface_cloud.results.outcomes import SorterRun
    from spikeinterface_cloud.runtime.host import workers
    from spikeinterface_cloud.runtime.logging import configure_logging

    configure_logging()
    si.set_global_job_kwargs(n_jobs=workers(None), chunk_duration="1s", progress_bar=False)
    recording, sorting = opened(length_s)
    run = SorterRun(
        sorter="simulation", outcome="sorted", n_units=sorting.get_num_units(), parameters={}
    )
    Path(RESULTS).mkdir()
    run, _ = analyze_sorting(
        run,
        sorting,
        apply_preprocessing_pipeline(recording, VIEW),
        AnalysisFolders(scratch=Path("scratch"), results=Path(RESULTS)),
    )
    assert run.outcome == "sorted", run.reason


if __name__ == "__main__":
    if sys.argv[1:2] == ["--analyze"]:
        analyze(int(sys.argv[2]))
    else:
        main()
