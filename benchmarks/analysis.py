"""Time and peak memory of the analysis, beside SpikeInterface and for a longer recording.

    python benchmarks/analysis.py [--duration-s 60] [--channels 64] [--units 60]
    python benchmarks/analysis.py --channels 384 --units 400 --longer 1
    python benchmarks/analysis.py --channels 384 --units 400 --duration-s 120 --alone

The analysis is that of the job, labels and saving included, on the view that the job has of an
unfiltered recording: each pass filters it again. SpikeInterface does the same steps in
`bare_analysis.py`, and the results of both are compared in each round. The sorting is the
simulation's own. The figures are of a process of its own; mapped pages of files count as memory.
What is on disk is a piece of 30 s, however long the recording: it is the same piece again and
again, with the same spikes.
"""

from __future__ import annotations

import shutil
import subprocess
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

BARE = Path(__file__).with_name("bare_analysis.py")

#: files and folders in the folder in which the analysis works
RECORDING = "recording"
SORTING = "sorting"
RESULTS = "results"
BARE_RESULTS = "bare-results"

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
@click.option("--longer", default=5, help="how much longer another one is, 5 times by default")
@click.option("--alone", is_flag=True, help="do not run SpikeInterface beside it")
def main(rounds: int, duration_s: int, channels: int, units: int, longer: int, alone: bool) -> None:
    """Print what the analysis takes by recorded minute, and its peak memory."""
    title = f"{channels} channels, {units} units"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, channels, units)
        if not alone:
            print_head(f"analysis of {duration_s} s, {title}", "ours", "SpikeInterface")
            print_rows(duration_s, duration_s, *beside_spikeinterface(folder, duration_s, rounds))
        if longer > 1:
            long_s = longer * duration_s
            print_head(f"analysis, {title}", f"{duration_s} s", f"{long_s} s")
            taken = [
                [analysis(folder, length_s) for _ in range(rounds)]
                for length_s in (duration_s, long_s)
            ]
            print_rows(duration_s, long_s, *taken)


def print_rows(first_s: int, second_s: int, first: list[Taken], second: list[Taken]) -> None:
    """Print two analyses by recorded minute, of recordings of these lengths."""
    for label, unit in (("a recorded minute", "wall_s"), ("  CPU of it", "cpu_s")):
        one, other = (
            [60.0 * getattr(each, unit) / length_s for each in taken]
            for length_s, taken in ((first_s, first), (second_s, second))
        )
        goal = "<= 0.50" if unit == "cpu_s" and first_s == second_s else ""
        print_seconds(label, one, other, goal)
    peaks = [max(each.peak_memory_mib for each in taken) for taken in (first, second)]
    print_memory("peak memory", peaks[0], peaks[1], "")


def beside_spikeinterface(
    folder: Path, length_s: int, rounds: int
) -> tuple[list[Taken], list[Taken]]:
    """What ours and SpikeInterface's took in each round; the results have to be the same."""
    bare = [sys.executable, str(BARE)]
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(analysis(folder, length_s, keep=True))
        theirs.append(measure([*bare, "--analyze", str(length_s)], {}, folder))
        subprocess.run([*bare, "--compare"], cwd=folder, check=True)
        for results in (RESULTS, BARE_RESULTS):
            shutil.rmtree(folder / results)
    return ours, theirs


def analysis(folder: Path, length_s: int, *, keep: bool = False) -> Taken:
    """What an analysis in a process of its own takes."""
    taken = measure([sys.executable, __file__, "--analyze", str(length_s)], {}, folder)
    if not keep:
        shutil.rmtree(folder / RESULTS)
    return taken


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
    from spikeinterface_cloud.preprocessing.single_pass import in_single_pass
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
        in_single_pass(apply_preprocessing_pipeline(recording, VIEW)),
        AnalysisFolders(scratch=Path("scratch"), results=Path(RESULTS)),
    )
    assert run.outcome == "sorted", run.reason


if __name__ == "__main__":
    if sys.argv[1:2] == ["--analyze"]:
        analyze(int(sys.argv[2]))
    else:
        main()
