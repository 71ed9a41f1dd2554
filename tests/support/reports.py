"""Results folders for the tests of the report, written without sorting or analysis."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import spikeinterface as si
from spikeinterface.core import NumpyRecording, NumpySorting

from spikeinterface_cloud.report.peaks import Peaks
from spikeinterface_cloud.report.sample import Contacts, RecordingSample, Signal
from spikeinterface_cloud.results.outcomes import SorterRun
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.runtime.logging import Step
from tests.support.recordings import neuropixels_probe

RATE_HZ = 30_000.0
N_CHANNELS = 64
DURATION_S = 8.0

#: a script that must not run in the page
HOSTILE = "<script>document.title='owned'</script>"


def run_of(sorter: str, n_units: int = 0, **changes: Any) -> SorterRun:
    """Return the run of a sorter, `sorted` by default."""
    parameters: dict[str, Any] = {"detect_threshold": 5.5}
    return SorterRun(
        **{
            "sorter": sorter,
            "outcome": "sorted",
            "n_units": n_units,
            "seconds": 12.5,
            "parameters": parameters,
            "peak_memory_bytes": 3 * 1024**3,
            **changes,
        }
    )


def record_of(*runs: SorterRun, **changes: Any) -> RunRecord:
    """Return the record of a job that sorted a recording of `N_CHANNELS`."""
    record = RunRecord(
        settings={"SORTERS": ",".join(run.sorter for run in runs), "DANDI_API_KEY": "***"},
        run_identifier="mouse 1",
        source={"location": "s3://lab/raw"},
        recording={
            "n_channels": N_CHANNELS,
            "sampling_frequency_hz": RATE_HZ,
            "duration_s": DURATION_S,
            "n_segments": 1,
            "dtype": "int16",
            "gain_to_uv": (2.34, 2.34),
            "stream_name": "imec0.ap",
            "probes": ["imec NP1000"],
            "n_shanks": 1,
            "notes": ["unsigned samples were made signed"],
        },
        sorters=list(runs),
        steps=[
            Step(name="fetch", seconds=61.0, size_bytes=10**9),
            Step(name="sort", seconds=200.0),
        ],
        machine={"cpus": 8, "memory_bytes": 32 * 1024**3, "gpu": None},
    )
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def sample_of(
    *, n_peaks: int = 20_000, unit: str = "µV", contacts: Contacts | None = None
) -> RecordingSample:
    """Return a sample of noise with a bad channel."""
    random = np.random.default_rng(0)
    peaks = Peaks(
        time_s=np.sort(random.uniform(0, DURATION_S, n_peaks)),
        depth_um=random.uniform(0, 640, n_peaks),
        amplitude=random.gamma(2.0, 30.0, n_peaks) + 30,
        unit=unit,
        looked_at_s=DURATION_S,
        n_found=10 * n_peaks,
    )
    signal = _noise(unit, random)
    return RecordingSample(
        segment_durations_s=(5.0, 3.0),
        excerpt_start_s=2.5,
        contacts=contacts or contacts_of(np.arange(N_CHANNELS) // 2 * 20.0),
        before=signal,
        after=signal,
        peaks=peaks,
    )


def contacts_of(depth_um: np.ndarray) -> Contacts:
    """Return contacts at these depths, one of them dead."""
    n_channels = len(depth_um)
    return Contacts(
        channel_ids=tuple(f"AP{number}" for number in range(n_channels)),
        x_um=np.tile([0.0, 32.0], n_channels)[:n_channels],
        y_um=depth_um,
        bad={"AP3": "dead"},
    )


def _noise(unit: str, random: np.random.Generator) -> Signal:
    names = (*(f"AP{number}" for number in range(0, N_CHANNELS, 4)), "AP3")
    frequency_hz = np.arange(8.0, RATE_HZ / 2, 8.0)
    power = 100.0 / frequency_hz
    return Signal(
        sampling_frequency_hz=RATE_HZ,
        unit=unit,
        channel_ids=names,
        traces=random.normal(0, 10, (1500, len(names))).astype("float32"),
        frequency_hz=frequency_hz.astype("float32"),
        power_low=(0.5 * power).astype("float32"),
        power_median=power.astype("float32"),
        power_high=(2 * power).astype("float32"),
    )


def write_sorter(folder: Path, unit_ids: Sequence[str], *, with_gain: bool = True) -> None:
    """Write the analyzer and the tables of a sorter with these units, in noise."""
    random = np.random.default_rng(1)
    n_samples = int(DURATION_S * RATE_HZ)
    traces = random.normal(0, 10, (n_samples, N_CHANNELS)).astype("float32").round().astype("int16")
    recording = NumpyRecording([traces], RATE_HZ)
    if with_gain:
        recording.set_channel_gains(2.34)
        recording.set_channel_offsets(0.0)
    recording.set_probe(neuropixels_probe(N_CHANNELS))
    trains = {
        unit: np.sort(random.choice(n_samples - 200, 100, replace=False)) + 100 for unit in unit_ids
    }
    sorting = NumpySorting.from_unit_dict([trains], RATE_HZ)
    analyzer = si.create_sorting_analyzer(sorting, recording, sparse=False, return_in_uV=with_gain)
    analyzer.compute(
        {
            "random_spikes": {"seed": 0},
            "templates": {},
            "unit_locations": {"method": "center_of_mass"},
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    analyzer.save_as(format="zarr", folder=folder / "analyzer.zarr")
    _write_table(
        folder / "quality_metrics.csv",
        [
            # the third unit has no SNR: what is missing comes last, whichever way it is sorted
            {
                "unit_id": name,
                "snr": "" if index == 2 else (index * 37) % 101 / 10,
                "num_spikes": 100,
            }
            for index, name in enumerate(unit_ids)
        ],
    )
    _write_table(
        folder / "unit_labels.csv",
        [
            {"unit_id": name, "label": ("good", "mua", "noise")[index % 3], "decided_by": "snr=1<2"}
            for index, name in enumerate(unit_ids)
        ],
    )


def write_agreement(folder: Path, pairs: Sequence[tuple[str, str, str, str]]) -> None:
    """Write the pairs (sorter, unit, sorter, unit) that match."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = ("sorter_1", "unit_1", "sorter_2", "unit_2")
    _write_table(
        folder / "agreement.csv",
        [{**dict(zip(columns, pair, strict=True)), "agreement": 0.9} for pair in pairs],
    )


def _write_table(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as lines:
        table = csv.DictWriter(lines, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
