"""Several recordings of one probe with the same neurons, in files of their own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import spikeinterface as si

from tests.support.recordings import SpikeGlxRun, simulate, write_spikeglx

#: seconds
DURATIONS = (7.0, 5.0, 6.0)

#: `firstSample` of each run: their clocks overlap, and none begins at 0
FIRST_SAMPLES = (30_000, 90_000, 3_000_000)


def write_runs(
    folder: Path,
    *,
    durations_s: Sequence[float] = DURATIONS,
    dates: Sequence[str | None] = (None, None, None),
    n_units: int = 3,
) -> tuple[list[Path], si.BaseSorting]:
    """Write runs of SpikeGLX; return their folders and the true spikes, a segment for each run."""
    recording, truth = simulate(
        duration_s=list(durations_s), n_channels=16, n_units=n_units, seed=1
    )
    folders = []
    for number, date in zip(range(len(durations_s)), dates, strict=False):
        run = SpikeGlxRun(
            name=f"run{number + 1}", first_sample=FIRST_SAMPLES[number], with_lf=False
        )
        folders.append(write_spikeglx(folder, recording.select_segments([number]), run))
        if date is not None:
            add_to_header(folders[-1], f"fileCreateTime={date}")
    return folders, truth


def add_to_header(folder: Path, *lines: str) -> None:
    """Add lines to the headers of a run; they take the place of lines with the same key."""
    for meta in folder.rglob("*.meta"):
        keys = tuple(line.partition("=")[0] + "=" for line in lines)
        kept = [line for line in meta.read_text().splitlines() if not line.startswith(keys)]
        meta.write_text("\n".join([*kept, *lines]) + "\n")


def true_trains(truth: si.BaseSorting, segment: int) -> list[np.ndarray]:
    """Return the true spikes of each unit in one segment, in frames."""
    return [truth.get_unit_spike_train(unit, segment_index=segment) for unit in truth.unit_ids]
