"""Time and peak memory of the analysis, for a recording and one five times as long.

    python benchmarks/analysis.py [--duration-s 60] [--channels 64] [--units 60]
    python benchmarks/analysis.py --lazy --channels 384 --units 400 --longer 3

The analysis is that of the job, labels and saving included, on the view that the job has of an
unfiltered recording: each pass filters it again. The sorting is the simulation's own. The figures
are of a process of its own; mapped pages of files count as memory. A recording that is `--lazy` is
never on disk: its noise is repeated, and its spikes are added, each time that a part of it is read,
which the figures include.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import spikeinterface as si

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from table import Taken, measure, print_head, print_memory, print_seconds  # noqa: E402

#: files and folders in the folder in which the analysis works
RECORDING = "recording"
SORTING = "sorting"
RESULTS = "results"

#: what a recording is made of that is not on disk
SIMULATION = "simulation.json"

VIEW = [
    {"name": "highpass_filter", "params": {"freq_min": 300.0}},
    {"name": "common_reference", "params": {"reference": "global", "operator": "median"}},
]


@click.command()
@click.option("--rounds", default=1, show_default=True, help="rounds, of which medians are taken")
@click.option("--duration-s", default=60.0, show_default=True, help="length of the short recording")
@click.option("--channels", default=64, show_default=True, help="channels of both recordings")
@click.option("--units", default=60, show_default=True, help="units of both recordings")
@click.option("--longer", default=5.0, show_default=True, help="how much the other one is longer")
@click.option("--lazy", is_flag=True, help="simulate while reading, so that no disk is needed")
def main(
    rounds: int, duration_s: float, channels: int, units: int, longer: float, *, lazy: bool
) -> None:
    """Print what the analysis takes by recorded minute, and its peak memory."""
    lengths_s = (duration_s, longer * duration_s)
    taken: dict[float, list[Taken]] = {length_s: [] for length_s in lengths_s}
    for length_s in lengths_s:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / SIMULATION).write_text(json.dumps([length_s, channels, units]))
            if not lazy:
                write(folder, length_s, channels, units)
            for _ in range(rounds):
                command = [sys.executable, __file__, "--analyse"]
                taken[length_s].append(measure(command, {}, folder))
                shutil.rmtree(folder / RESULTS)
    print_head(
        f"analysis, {channels} channels, {units} units", *(f"{length:g} s" for length in lengths_s)
    )
    for label, unit in (("a recorded minute", "wall_s"), ("  CPU of it", "cpu_s")):
        short, long = (
            [60.0 * getattr(one, unit) / length_s for one in taken[length_s]]
            for length_s in lengths_s
        )
        print_seconds(label, short, long, "")
    peaks = [max(one.peak_memory_mib for one in taken[length_s]) for length_s in lengths_s]
    print_memory("peak memory", peaks[0], peaks[1], "")


def simulated(
    duration_s: float, channels: int, units: int
) -> tuple[si.BaseRecording, si.BaseSorting]:
    """A recording of int16 samples that are made when they are read, and the spikes in it."""
    import spikeinterface as si
    from spikeinterface.preprocessing import scale

    from tests.recordings import AP_GAIN_UV, neuropixels_probe

    recording, sorting = si.generate_ground_truth_recording(
        durations=[duration_s],
        sampling_frequency=30000.0,
        num_units=units,
        probe=neuropixels_probe(channels),
        noise_kwargs={"noise_levels": 5.0, "strategy": "tile_pregenerated"},
        seed=0,
    )
    quantised = scale(recording, gain=1.0 / AP_GAIN_UV, offset=0.0, dtype="int16")
    quantised.set_channel_gains(AP_GAIN_UV)
    quantised.set_channel_offsets(0.0)
    return quantised, sorting


def write(folder: Path, duration_s: float, channels: int, units: int) -> None:
    """Write the recording, and the spikes that are in it."""
    from spikeinterface_cloud.machine import workers

    recording, sorting = simulated(duration_s, channels, units)
    recording.save(folder=folder / RECORDING, n_jobs=workers(None), progress_bar=False)
    sorting.save(folder=folder / SORTING)


def opened() -> tuple[si.BaseRecording, si.BaseSorting]:
    """The recording and the spikes as they were written, or made anew where they were not."""
    import spikeinterface as si

    if not Path(RECORDING).exists():
        return simulated(*json.loads(Path(SIMULATION).read_text()))
    return si.load(RECORDING), si.load(SORTING)


def analyse() -> None:
    """Analyse the sorting as a job does."""
    import spikeinterface as si
    from spikeinterface.preprocessing import apply_preprocessing_pipeline

    from spikeinterface_cloud.analysis import AnalysisFolders
    from spikeinterface_cloud.analysis import analyse as analyse_sorting
    from spikeinterface_cloud.log import configure_logging
    from spikeinterface_cloud.machine import workers
    from spikeinterface_cloud.sorting import SorterRun

    configure_logging()
    si.set_global_job_kwargs(n_jobs=workers(None), chunk_duration="1s", progress_bar=False)
    recording, spikes = opened()
    sorting = si.NumpySorting.from_sorting(spikes)
    run = SorterRun(
        sorter="simulation", outcome="sorted", n_units=sorting.get_num_units(), parameters={}
    )
    Path(RESULTS).mkdir()
    run, _ = analyse_sorting(
        run,
        sorting,
        apply_preprocessing_pipeline(recording, VIEW),
        AnalysisFolders(scratch=Path("scratch"), results=Path(RESULTS)),
    )
    assert run.outcome == "sorted", run.reason


if __name__ == "__main__":
    if sys.argv[1:] == ["--analyse"]:
        analyse()
    else:
        main()
