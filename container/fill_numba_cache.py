"""Compile in an image what Numba would compile in each job: `python fill_numba_cache.py FOLDER`.

Two jobs sort ten simulated seconds by every sorter of the image, and FOLDER keeps what is
compiled meanwhile, for machines with the instructions that
`spikeinterface_cloud.runtime.numba_cache` names. FOLDER stays empty if this one lacks them.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import spikeinterface as si
from spikeinterface.sorters import installed_sorters

from spikeinterface_cloud.runtime.numba_cache import IMAGE_TARGET, has_instructions

#: of Python packages, a job each: those that filter themselves, whose analysis filters as it reads,
#: in 32-bit floats, and the one for which the job writes filtered integers. Kilosort4 is in the
#: image for GPUs, the others are in both.
SORTERS = (("kilosort4", "lupin", "spykingcircus2", "tridesclous2"), ("simple",))
#: a machine that builds images has no GPU
ON_CPU = {"kilosort4": {"torch_device": "cpu"}}

N_CHANNELS, N_UNITS, DURATION_S, GAIN_UV = 16, 8, 10.0, 0.195


def main(folder: Path) -> None:
    """Run the jobs; a failure ends the build."""
    folder.mkdir(parents=True, exist_ok=True)
    if not has_instructions():
        print(f"nothing is compiled: this machine is no {IMAGE_TARGET['NUMBA_CPU_NAME']}")
        return
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_recording(work / "recording")
        for number, names in enumerate(SORTERS):
            sort(work / "recording", names, work / f"job{number}", folder)


def sort(recording: Path, names: Sequence[str], job: Path, cache: Path) -> None:
    """Run a job with those of the sorters that are installed."""
    sorters = [name for name in names if name in installed_sorters()]
    parameters = {name: values for name, values in ON_CPU.items() if name in sorters}
    settings = {
        "SOURCE_FOLDER": str(recording),
        "DATA_TYPE": "binary",
        "SORTERS": ",".join(sorters),
        "SORTERS_KWARGS": json.dumps(parameters),
        "RESULTS_FOLDER": str(job / "results"),
        "SCRATCH_FOLDER": str(job / "scratch"),
        "NUMBA_CACHE_DIR": str(cache),
    }
    subprocess.run(
        [sys.executable, "run_script.py"],
        env={**os.environ, **IMAGE_TARGET, **settings},
        check=True,
    )


def write_recording(folder: Path) -> None:
    """Write 16-bit samples, as recordings have them."""
    simulated, _ = si.generate_ground_truth_recording(
        durations=[DURATION_S], num_channels=N_CHANNELS, num_units=N_UNITS, seed=0
    )
    samples = (simulated.get_traces() / GAIN_UV).round().astype("int16")
    recording = si.NumpyRecording([samples], simulated.sampling_frequency)
    recording.set_probegroup(simulated.get_probegroup())
    recording.set_channel_gains(GAIN_UV)
    recording.set_channel_offsets(0.0)
    recording.save(folder=folder, n_jobs=1, verbose=False, progress_bar=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
