"""The analysis with SpikeInterface's own functions, and how its results differ from the job's.

    bare_analysis.py --analyze LENGTH_S       in a folder that `analysis.py` has written
    bare_analysis.py --compare                the results of both, in the same folder

The steps, parameters and formats are those of a job. Labels are the job's own from either metrics.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from analysis import BARE_RESULTS, RESULTS, VIEW, opened  # noqa: E402

#: the most by which a metric may differ, of its size, and the size below which it counts as 0
TOLERANCE, LEAST = 1e-3, 1e-4


def analyze(length_s: int) -> None:
    """Analyze the sorting of a recording of that length with SpikeInterface alone."""
    import spikeinterface as si
    from spikeinterface.preprocessing import apply_preprocessing_pipeline
    from threadpoolctl import threadpool_limits

    from spikeinterface_cloud.analysis.extensions import EXTENSIONS
    from spikeinterface_cloud.analysis.unit_labels import label_by_metrics
    from spikeinterface_cloud.runtime.host import workers

    si.set_global_job_kwargs(n_jobs=workers(None), chunk_duration="1s", progress_bar=False)
    recording, sorting = opened(length_s)
    results = Path(BARE_RESULTS)
    results.mkdir()
    analyzer = si.create_sorting_analyzer(
        sorting,
        apply_preprocessing_pipeline(recording, VIEW),
        format="binary_folder",
        folder=results / "scratch",
        seed=0,
    )
    with threadpool_limits(1):  # as in the job, where more threads than processors fight for them
        analyzer.compute(dict(EXTENSIONS), verbose=False)
    analyzer.save_as(format="zarr", folder=results / "analyzer.zarr")
    metrics = analyzer.get_metrics_extension_data()
    metrics.to_csv(results / "metrics.csv", index_label="unit_id")
    labels = label_by_metrics(metrics, in_microvolts=analyzer.return_in_uV)
    labels.to_csv(results / "unit_labels.csv", index_label="unit_id")


def compare() -> None:
    """Print how far the results are apart; exit with 1 if that is too far."""
    import pandas as pd
    import spikeinterface as si

    from spikeinterface_cloud.analysis.extensions import EXTENSIONS

    analyzer = si.load_sorting_analyzer(f"{RESULTS}/analyzer.zarr")
    ours = analyzer.get_metrics_extension_data().astype("float64")
    theirs = pd.read_csv(f"{BARE_RESULTS}/metrics.csv", index_col="unit_id")[list(ours.columns)]
    apart = difference(ours, theirs.astype("float64"))
    labels = [
        pd.read_csv(f"{folder}/unit_labels.csv", index_col="unit_id")[["label", "bombcell"]]
        for folder in (RESULTS, BARE_RESULTS)
    ]
    n_labels = int((labels[0].to_numpy() != labels[1].to_numpy()).sum())
    missing = set(EXTENSIONS) - set(analyzer.get_loaded_extension_names())
    n_metrics = int((apart > TOLERANCE).sum())
    farthest = ours.columns[apart.max(axis=0).argmax()]
    print(f"    {n_metrics} of {apart.size} metrics differ by more than {TOLERANCE:g}, ", end="")
    print(f"the farthest ({farthest}) by {apart.max():.2g}")
    print(f"    {n_labels} of {labels[0].size} labels differ; extensions missing: {len(missing)}")
    sys.exit(bool(n_labels or missing or n_metrics))


def difference(ours: pd.DataFrame, theirs: pd.DataFrame) -> np.ndarray:
    """How far they are apart, of their size; infinite if only one is NaN."""
    import numpy as np

    a, b = ours.to_numpy(), theirs.to_numpy()
    apart = np.abs(a - b) / np.maximum(LEAST, np.abs(b))
    apart[np.isnan(a) & np.isnan(b)] = 0.0
    return np.where(np.isnan(apart), np.inf, apart)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--analyze"]:
        analyze(int(sys.argv[2]))
    else:
        compare()
