"""The parts of a job as one would script them by hand with SpikeInterface, each its own program.

    python benchmarks/bare.py preprocess|sort|analyze REQUEST

`job.py` measures them beside the whole job. They do what the job does: the same steps, sorter,
workers, extensions and formats, and nothing of its checks. Nothing is imported from the package,
so that its imports are not counted here.
"""

import json
import sys
from pathlib import Path
from typing import Any

import spikeinterface as si

#: file and folder names in the folder in which the parts work one after the other
FETCHED = "fetched"
PREPROCESSED = "preprocessed"
SORTED = "sorted"
RESULTS = "results"

Request = dict[str, Any]


def preprocess(request: Request) -> None:
    """Apply the steps, and write the recording that the sorter reads."""
    from spikeinterface.extractors import read_spikeglx
    from spikeinterface.preprocessing import apply_preprocessing_pipeline

    recording = read_spikeglx(FETCHED, stream_id="imec0.ap")
    apply_preprocessing_pipeline(recording, request["steps"]).save(folder=PREPROCESSED)


def sort(request: Request) -> None:
    """Run the sorter on the local file."""
    from spikeinterface.sorters import run_sorter

    run_sorter(request["sorter"], open_recording(), folder=SORTED)


def analyze(request: Request) -> None:
    """Compute the analyzer's extensions on the filtered recording, and save them as zarr."""
    from spikeinterface.curation import remove_excess_spikes
    from spikeinterface.preprocessing import apply_preprocessing_pipeline
    from spikeinterface.sorters import read_sorter_folder

    recording = apply_preprocessing_pipeline(open_recording(), request["view"])
    sorting = read_sorter_folder(SORTED, register_recording=False)
    sorting = remove_excess_spikes(sorting, recording).remove_empty_units()
    sorting = sorting.save(folder=Path(RESULTS) / "sorting")
    # quicker than into zarr from the start
    analyzer = si.create_sorting_analyzer(sorting, recording, format="memory", sparse=True)
    analyzer.compute(request["extensions"])
    analyzer.save_as(format="zarr", folder=Path(RESULTS) / "analyzer.zarr")
    metrics = analyzer.get_extension("quality_metrics").get_data()
    metrics.to_csv(Path(RESULTS) / "quality_metrics.csv")


def open_recording() -> si.BaseRecording:
    """The preprocessed recording where there is one, else the fetched one."""
    if Path(PREPROCESSED).is_dir():
        return si.load(PREPROCESSED)
    from spikeinterface.extractors import read_spikeglx

    return read_spikeglx(FETCHED, stream_id="imec0.ap")


def main() -> None:
    """Do the part that the command line names."""
    part, request_file = sys.argv[1:]
    request = json.loads(Path(request_file).read_text())
    si.set_global_job_kwargs(n_jobs=request["n_jobs"], chunk_duration="1s", progress_bar=False)
    {"preprocess": preprocess, "sort": sort, "analyze": analyze}[part](request)


if __name__ == "__main__":
    main()
