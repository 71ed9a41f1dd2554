"""One bare sorter as one would run it by hand: `python benchmarks/accuracy_bare.py REQUEST`.

Nothing is imported from the package but its seeding of random numbers: chance is the same as in a
job. REQUEST is a JSON file: sorter, recording, folder, parameters, n_jobs. The units are saved into
`folder`.
"""

import json
import sys
import tempfile
from pathlib import Path

import spikeinterface as si
from spikeinterface.sorters import run_sorter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spikeinterface_cloud.sorting.random_numbers import seed_random_numbers


def main() -> None:
    """Run the sorter that the request describes."""
    request = json.loads(Path(sys.argv[1]).read_text())
    seed_random_numbers(request["parameters"].get("seed", 0))
    si.set_global_job_kwargs(n_jobs=request["n_jobs"], chunk_duration="1s", progress_bar=False)
    with tempfile.TemporaryDirectory() as folder:
        sorting = run_sorter(
            request["sorter"],
            si.load(request["recording"]),
            folder=f"{folder}/sorted",
            **request["parameters"],
        )
        sorting.save(folder=request["folder"], format="numpy_folder")


if __name__ == "__main__":
    main()
