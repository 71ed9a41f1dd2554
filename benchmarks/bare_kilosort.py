"""`run_kilosort` as one would call it by hand, on a file of 16-bit samples.

    python benchmarks/bare_kilosort.py REQUEST

`gpu.py` measures this process beside the step of a job. Nothing is imported from the package, so
that its imports are not counted here.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

#: parameters of SpikeInterface's Kilosort4 that `run_kilosort` takes apart from its settings
ARGUMENTS = ("do_CAR", "invert_sign", "clear_cache")

#: in the folder of the results: the peak of the GPU's memory in bytes, or null
GPU_MEMORY = "peak_gpu_memory.json"


def sort(request: dict[str, Any]) -> None:
    """Sort the file that a request describes.

    Parameters
    ----------
    request
        `file`, `results` (the folder for what Kilosort4 writes), `rate_hz`, `positions_um`
        (n_channels x 2, of one shank), `device` (`cuda` or `cpu`), `settings` (besides Kilosort4's
        defaults), and `end_s` (null: the end of the file)
    """
    import torch
    from kilosort import run_kilosort

    results = Path(request["results"])
    positions = np.array(request["positions_um"], dtype="float32")
    n_channels = len(positions)
    settings = {**request["settings"], "n_chan_bin": n_channels, "fs": request["rate_hz"]}
    if request["end_s"] is not None:
        settings["tmax"] = request["end_s"]
    arguments = {name: settings.pop(name) for name in ARGUMENTS if name in settings}
    probe = {
        "chanMap": np.arange(n_channels),
        "xc": positions[:, 0],
        "yc": positions[:, 1],
        "kcoords": np.zeros(n_channels, dtype="float32"),
        "n_chan": n_channels,
    }
    run_kilosort(
        settings,
        probe=probe,
        filename=request["file"],
        results_dir=results,
        data_dtype="int16",
        device=torch.device(request["device"]),
        **arguments,
    )
    on_gpu = request["device"] != "cpu"
    peak = int(torch.cuda.max_memory_allocated()) if on_gpu else None
    (results / GPU_MEMORY).write_text(json.dumps(peak))


if __name__ == "__main__":
    sort(json.loads(Path(sys.argv[1]).read_text()))
