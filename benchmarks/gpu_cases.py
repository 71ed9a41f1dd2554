"""The recordings of `gpu.py`, whose spikes are known, and what is run on each.

python benchmarks/gpu_cases.py FOLDER CASE        simulate a recording, in a process of its own
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import spikeinterface as si

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

RATE_HZ = 30_000.0
SAMPLE_BYTES = 2

#: in the folder of a case
RECORDING = "recording"
TRUTH = "truth"
TRACES = "traces_cached_seg0.raw"
POSITIONS = "positions_um.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A recording of a Neuropixels 1.0 probe's lowest contacts, and how a job sorts it."""

    name: str
    n_channels: int
    n_units: int
    duration_s: float
    #: of the job
    preprocessing: str = "none"
    #: of Kilosort4, besides its defaults, for the job and for `run_kilosort` alike
    parameters: Mapping[str, Any] = field(default_factory=dict)
    #: of SpikeInterface's generator
    simulation: Mapping[str, Any] = field(default_factory=dict)
    #: true units that have to be found
    least_found: int

    @property
    def size_gb(self) -> float:
        """The size of the samples, in 10^9 bytes."""
        return self.n_channels * RATE_HZ * self.duration_s * SAMPLE_BYTES / 1e9


# `least_found` of these two is a guess that a broken run falls below: Kilosort4 has sorted neither
# yet, as it takes hours on a CPU
CHECKED = Case(name="64 channels", n_channels=64, n_units=20, duration_s=60.0, least_found=16)
PROBE = Case(
    name="384 channels",
    n_channels=384,
    n_units=200,
    duration_s=60.0,
    preprocessing="default",
    least_found=100,
)

#: three units close to 16 contacts of the generator's own probe, and apart from each other; so few
#: spikes have to be clustered all of them, and show no drift
_SMALL: Mapping[str, Any] = {
    "n_units": 3,
    "n_channels": 16,
    "duration_s": 10.0,
    "least_found": 3,
    "parameters": {
        "do_correction": False,
        "cluster_downsampling": 1,
        # a fifth of the shapes that are searched for first, which most of the CPU goes into
        "n_templates": 3,
        "template_sizes": 2,
    },
    "simulation": {
        "probe": None,
        "num_channels": 16,
        "seed": 0,
        "generate_unit_locations_kwargs": {
            "margin_um": 0,
            "minimum_z": 5,
            "maximum_z": 15,
            "minimum_distance": 45,
        },
    },
}
QUICK_CHECKED = Case(name="16 channels", **_SMALL)
QUICK_PROBE = Case(
    name="16 channels in place of a probe",
    preprocessing="default",
    **{**_SMALL, "duration_s": 20.0},
)


def write(case: Case, folder: Path) -> None:
    """Write the recording of a case, and its spikes."""
    from probeinterface.neuropixels_tools import build_neuropixels_probe

    from spikeinterface_cloud.recording.simulated import simulate
    from spikeinterface_cloud.runtime.host import workers

    channels = np.arange(case.n_channels)
    probe = build_neuropixels_probe("NP1000").get_slice(channels)
    probe.set_device_channel_indices(channels)
    recording, truth = simulate(
        {
            "durations": [case.duration_s],
            "num_units": case.n_units,
            "probe": probe,
            "sampling_frequency": RATE_HZ,
            "seed": 1,
            **case.simulation,
        }
    )
    # a converter of the probe samples twelve channels in turn, in a cycle of thirteen; the default
    # preprocessing corrects it
    recording.set_property("inter_sample_shift", channels // 2 % 12 / 13)
    recording.save(
        folder=folder / RECORDING,
        n_jobs=workers(None),
        mp_context="fork",  # others import everything once more
        chunk_duration="1s",
        progress_bar=False,
    )
    truth.save(folder=folder / TRUTH)
    (folder / POSITIONS).write_text(json.dumps(recording.get_channel_locations().tolist()))


def opened(folder: Path) -> tuple[si.BaseRecording, si.BaseSorting]:
    """Return the recording of a case, and its true spikes."""
    import spikeinterface as si

    return si.load(folder / RECORDING), si.load(folder / TRUTH)


def job_variables(case: Case, folder: Path, device: str) -> dict[str, str]:
    """Return the settings of the job that sorts the case's recording."""
    return {
        "SOURCE_FOLDER": str(folder / RECORDING),
        "DATA_TYPE": "binary",
        "SORTERS": "kilosort4",
        "SORTERS_KWARGS": json.dumps({"kilosort4": {**case.parameters, "torch_device": device}}),
        "PREPROCESSING": case.preprocessing,
        "RESULTS_FOLDER": str(folder / "results"),
        "SCRATCH_FOLDER": str(folder / "scratch"),
    }


def bare_request(
    case: Case, folder: Path, device: str, results: Path, end_s: float | None
) -> dict[str, Any]:
    """Return the request of `bare_kilosort.py`, with the parameters that the job chooses."""
    from spikeinterface_cloud.sorting.derived_parameters import choose_parameters

    recording, _ = opened(folder)
    chosen = choose_parameters("kilosort4", case.parameters, recording)
    settings = {**case.parameters, **{name: each.value for name, each in chosen.items()}}
    if settings.pop("do_correction", True) is False:
        settings["nblocks"] = 0
    return {
        "file": str(folder / RECORDING / TRACES),
        "results": str(results),
        "rate_hz": RATE_HZ,
        "positions_um": json.loads((folder / POSITIONS).read_text()),
        "device": device,
        "settings": settings,
        "end_s": end_s,
    }


def case_as_json(case: Case) -> str:
    """Return the case for another process."""
    return json.dumps(asdict(case))


if __name__ == "__main__":
    write(Case(**json.loads(sys.argv[2])), Path(sys.argv[1]))
