"""Preprocessing as the job does it, and SpikeInterface's own functions taking the same steps.

    python benchmarks/preprocessing.py [--rounds 5] [--duration-s 60] [--channels 384]

Both read a raw file of a Neuropixels probe and write one binary file, with the same workers and
chunks, each in a process of its own, whose start is left out. Finding bad channels is ours alone
and does not grow with the recording: it has a line of its own. The view is what the analysis reads
of a file that was written without a filter: both read all of it once, as float32. The samples that
both have written are compared.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import spikeinterface as si

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from table import measure, print_head, print_seconds  # noqa: E402

#: in the folder in which the sides work
RECORDING = "recording"
TAKEN = "taken-by-side.json"
WRITTEN = {"ours": "ours", "theirs": "theirs"}

SAMPLING_FREQUENCY = 30000.0
NOISE_UV = 8.0

#: of a Neuropixels 1.0 probe, channels that one converter samples one after the other
N_SHARING = 12

SHIFT: dict[str, Any] = {"name": "phase_shift", "params": {}}
HIGH_PASS: dict[str, Any] = {
    "name": "highpass_filter",
    "params": {"freq_min": 150.0, "add_reflect_padding": True},
}
REFERENCE: dict[str, Any] = {
    "name": "common_reference",
    "params": {"reference": "global", "operator": "median"},
}

#: a sorter with a filter of its own, and one without
ROWS = {
    "kilosort4": ("sorters with their own filter", [SHIFT]),
    "herdingspikes": ("sorters without", [SHIFT, HIGH_PASS, REFERENCE]),
    "view": ("a pass of the analysis", [HIGH_PASS, REFERENCE]),
}

GOAL = "<= 0.50"


@click.command()
@click.option("--rounds", default=5, show_default=True, help="rounds, of which medians are taken")
@click.option("--duration-s", default=60, show_default=True, help="length of the recording")
@click.option("--channels", default=384, show_default=True, help="channels of the probe")
def main(rounds: int, duration_s: int, channels: int) -> None:
    """Print the seconds of CPU that a recorded minute takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, duration_s, channels)
        print_head(f"{channels} channels, a recorded minute", "ours", "theirs")
        for row, (label, _) in ROWS.items():
            taken: dict[str, list[dict[str, float]]] = {side: [] for side in WRITTEN}
            for _ in range(rounds):
                for side in WRITTEN:
                    shutil.rmtree(folder / WRITTEN[side], ignore_errors=True)
                    measure([sys.executable, __file__, "--side", side, row], {}, folder)
                    taken[side].append(json.loads((folder / TAKEN).read_text()))
            for words, unit in ((f"{label}, CPU", "cpu_s"), ("  by the clock", "wall_s")):
                ours, theirs = (
                    [60.0 * each[unit] / duration_s for each in taken[side]] for side in WRITTEN
                )
                print_seconds(words, ours, theirs, GOAL if unit == "cpu_s" else "")
            compare(folder, row)
        measure([sys.executable, __file__, "--side", "checks", "kilosort4"], {}, folder)
        checks_s = json.loads((folder / TAKEN).read_text())["cpu_s"]
        print(f"finding bad channels, once a job, CPU: {checks_s:.1f} s", flush=True)


def write(folder: Path, duration_s: int, channels: int) -> None:
    """Write noise on a slow wave, another second of noise for each channel and second."""
    import numpy as np
    import spikeinterface as si

    from tests.support.recordings import AP_GAIN_UV, neuropixels_probe

    second = int(SAMPLING_FREQUENCY)
    generator = np.random.default_rng(0)
    noise = generator.normal(0.0, NOISE_UV / AP_GAIN_UV, (2 * second, channels))
    slow = 30.0 * np.sin(2 * np.pi * 5.0 * np.arange(second) / second)[:, np.newaxis]
    file = folder / "traces.raw"
    with file.open("wb") as out:
        for _ in range(duration_s):
            start = int(generator.integers(second))
            (noise[start : start + second] + slow).astype("int16").tofile(out)
    recording = si.BinaryRecordingExtractor(file, SAMPLING_FREQUENCY, "int16", channels)
    recording.set_probe(neuropixels_probe(channels))
    recording.set_channel_gains(AP_GAIN_UV)
    recording.set_channel_offsets(0.0)
    shifts = np.arange(channels) // 2 % N_SHARING / (N_SHARING + 1)
    recording.set_property("inter_sample_shift", shifts)
    recording.annotate(is_filtered=False)
    recording.dump_to_pickle(folder / f"{RECORDING}.pkl")


def take(side: str, row: str) -> None:
    """Take the steps of the row as that side does, and write what they took."""
    import spikeinterface as si
    from spikeinterface.preprocessing import apply_preprocessing_pipeline

    from spikeinterface_cloud.preprocessing.pipeline import default_steps, preprocess
    from spikeinterface_cloud.preprocessing.single_pass import in_single_pass
    from spikeinterface_cloud.runtime.host import workers

    si.set_global_job_kwargs(n_jobs=workers(None), chunk_duration="1s", progress_bar=False)
    recording = si.load(f"{RECORDING}.pkl")
    _, steps = ROWS[row]
    started = clocks()
    if side == "checks":
        chosen, _ = default_steps(recording, {row: {}})
        assert chosen == steps, chosen
    elif row == "view":
        high_pass = {**HIGH_PASS, "params": {**HIGH_PASS["params"], "dtype": "float32"}}
        view = apply_preprocessing_pipeline(recording, [high_pass, REFERENCE])
        read(in_single_pass(view) if side == "ours" else view)
    elif side == "ours":
        preprocess(recording, steps, {row: {}}, Path(WRITTEN[side]))
    else:
        apply_preprocessing_pipeline(recording, steps).save(folder=WRITTEN[side])
    wall_s, cpu_s = (end - start for start, end in zip(started, clocks(), strict=True))
    Path(TAKEN).write_text(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s}))


def clocks() -> tuple[float, float]:
    """Seconds by the clock, and of CPU of this process and those it has waited for."""
    times = os.times()
    return time.monotonic(), sum(times[:4])


def read(recording: si.BaseRecording) -> None:
    """Read all samples, in chunks, in workers, as each pass of an analysis does."""
    from spikeinterface.core.job_tools import TimeSeriesChunkExecutor, fix_job_kwargs

    TimeSeriesChunkExecutor(
        recording, read_chunk, hold, (recording,), job_name="read", **fix_job_kwargs({})
    ).run()


def hold(recording: si.BaseRecording) -> dict[str, Any]:
    """Give the recording to a worker."""
    return {"recording": recording}


def read_chunk(segment: int, start: int, end: int, worker: dict[str, Any]) -> None:
    """Read one chunk."""
    worker["recording"].get_traces(segment, start, end)


def compare(folder: Path, row: str) -> None:
    """Print by how many steps the written samples differ."""
    import numpy as np
    import spikeinterface as si

    if row == "view":
        return
    ours, theirs = (si.load(folder / name) for name in WRITTEN.values())
    second, largest, n_different = int(SAMPLING_FREQUENCY), 0, 0
    for start in range(0, ours.get_num_samples(), second):
        place = {"start_frame": start, "end_frame": start + second}
        difference = np.abs(ours.get_traces(**place).astype("int32") - theirs.get_traces(**place))
        largest = max(largest, int(difference.max()))
        n_different += int(np.count_nonzero(difference))
    n_samples = ours.get_num_samples() * ours.get_num_channels()
    print(f"  largest difference {largest}, of {n_different} in {n_samples:,} samples", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        take(*sys.argv[2:])
    else:
        main()
