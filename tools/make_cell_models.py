"""Write `benchmarks/cell_models.npz`: spikes of biophysical models of neurons on 64 contacts.

    python -m venv cell-models
    cell-models/bin/pip install MEArec[templates]==1.11.0 'setuptools<81'
    PATH=$PWD/cell-models/bin:$PATH python tools/make_cell_models.py

MEArec simulates the 13 models of neocortical neurons that it brings (Blue Brain Project) with
NEURON, each at random places around a Neuropixels probe, which takes a C compiler and a quarter of
an hour. It needs an environment of its own, as its packages are older than ours.

The models are under CC BY-NC-SA 4.0, and therefore the file is, unlike the rest of the project.
"""

from pathlib import Path

import MEArec
import MEAutility
import numpy as np
from scipy.signal import resample_poly

FILE = Path(__file__).parent.parent / "benchmarks/cell_models.npz"

PROBE = "Neuropixels-64"
N_OF_EACH_MODEL = 5
DISTANCES_UM = (10, 60)

#: MEArec simulates 32 samples a millisecond, recordings have 30
UP, DOWN, RATE_KHZ = 15, 16, 30

#: around a spike: simulated, and kept
SIMULATED_MS = (2.0, 5.0)
KEPT_MS = (1.0, 3.0)

#: quantization of the file; values below `LEAST_STEPS` become 0
STEP_UV = 0.25
LEAST_STEPS = 3


def main() -> None:
    """Simulate, resample and write the templates."""
    parameters = MEArec.get_default_templates_params() | {
        "probe": PROBE,
        "n": N_OF_EACH_MODEL,
        "seed": 0,
        "ncontacts": 1,
        "xlim": list(DISTANCES_UM),
        "cut_out": list(SIMULATED_MS),
    }
    simulated = MEArec.gen_templates(
        MEArec.get_default_cell_models_folder(), params=parameters, parallel=False
    )
    resampled = resample_poly(simulated.templates, UP, DOWN, axis=2)
    peak = int(np.median(abs(resampled).max(axis=1).argmax(axis=1)))
    start = peak - round(KEPT_MS[0] * RATE_KHZ)
    kept = resampled[:, :, start : start + round(sum(KEPT_MS) * RATE_KHZ)].transpose(0, 2, 1)
    steps = np.round(kept / STEP_UV).astype("int16")
    steps[abs(steps) < LEAST_STEPS] = 0
    np.savez_compressed(
        FILE,
        steps=steps,
        step_uv=STEP_UV,
        ms=KEPT_MS,
        models=simulated.celltypes,
        positions_um=MEAutility.return_mea(PROBE).positions[:, 1:],
    )


if __name__ == "__main__":
    main()
