"""The analysis of a sorting: templates, amplitudes, locations, metrics and labels.

The analyzer is computed in a folder on scratch, whose arrays are mapped rather than held in memory,
and saved as zarr into the results when it is complete.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import spikeinterface as si
from numcodecs import Blosc
from spikeinterface.core.sortingfolder import NumpyFolderSorting

from spikeinterface_cloud.analysis.extensions import compute_extensions, compute_templates
from spikeinterface_cloud.analysis.sparsity import unit_channels
from spikeinterface_cloud.analysis.unit_labels import label_units
from spikeinterface_cloud.errors import UnavailableError
from spikeinterface_cloud.recording.formats.saved_folder import refuse_pickles
from spikeinterface_cloud.results.layout import ANALYZER, LABELS, METRICS, RECORDINGS, SORTING
from spikeinterface_cloud.results.outcomes import GroupRun, SorterRun
from spikeinterface_cloud.runtime.disk import full_disk, room_for_results
from spikeinterface_cloud.runtime.host import SHARED_MEMORY, free_disk_bytes
from spikeinterface_cloud.runtime.logging import part
from spikeinterface_cloud.sorting.cleanup import find_distinct_units
from spikeinterface_cloud.sorting.in_memory import add_silent_segments, in_memory

logger = logging.getLogger(__name__)

#: half the time of SpikeInterface's default (level 5, by bits), and waveforms a seventh smaller
COMPRESSOR = Blosc(cname="zstd", clevel=1, shuffle=Blosc.SHUFFLE)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysisFolders:
    """The folders of an analysis."""

    #: on scratch: emptied before and after
    scratch: Path
    #: in the results: `sorting/`, `analyzer.zarr`, `quality_metrics.csv`, `unit_labels.csv`
    results: Path
    #: the segments of each recording, if several were joined
    joined: Sequence[range] = ()


def analyze(
    run: SorterRun,
    sorting: si.BaseSorting,
    recording: si.BaseRecording,
    folders: AnalysisFolders,
) -> tuple[SorterRun, si.BaseSorting]:
    """Compute and save what curation tools need: analyzer, metrics, labels and sorting.

    Return `run` with the changed counts, and the sorting without redundant units, its labels as a
    property; a failed run where the analysis was not possible. A full disk is an UnavailableError.

    Parameters
    ----------
    sorting
        with at least one unit, in the segments of `recording`
    recording
        high-pass filtered, with a probe
    """
    full = f"a disk is full: the analysis of {run.sorter} could not be written; give "
    try:
        with full_disk(folders.scratch, f"{full}SCRATCH_FOLDER and RESULTS_FOLDER more space"):
            curated, labels = _compute(sorting, recording, folders, run.split_by)
            save_sorting(curated, folders.results / SORTING)
            for number, segments in enumerate(folders.joined, 1):
                own = folders.results / RECORDINGS / str(number) / SORTING
                save_sorting(si.select_segment_sorting(curated, list(segments)), own)
    except UnavailableError:
        raise
    except Exception as error:  # whatever an extension raises, the next sorter has to run
        # half of it would be in the way of the next attempt
        for name in (ANALYZER, RECORDINGS):
            shutil.rmtree(folders.results / name, ignore_errors=True)
        logger.exception("%s: the analysis failed; its sorting is kept", run.sorter)
        reason = f"found {run.n_units} units, but their analysis failed: {error}"
        return replace(run, outcome="failed", reason=reason), sorting
    n_units = curated.get_num_units()
    counted = replace(run, n_units=n_units, n_redundant_units=run.n_units - n_units, labels=labels)
    return replace(counted, groups=_recount(run, curated)), curated


def save_sorting(sorting: si.BaseSorting, folder: Path) -> None:
    """Save a sorting for `spikeinterface.load`, replacing an older one."""
    with room_for_results(folder):
        sorting.save(folder=folder, format="numpy_folder", overwrite=True)


def load_sorting(folder: Path) -> si.BaseSorting:
    """Read a saved sorting into memory, so that its folder may be written to.

    Others may be able to write there: no class that a file names is imported, as
    `spikeinterface.load` would.
    """
    refuse_pickles(folder)
    saved = NumpyFolderSorting(folder)
    return in_memory(saved, with_metadata=True)


def load_analyzer(folder: Path, *, load_extensions: bool = True) -> si.SortingAnalyzer:
    """Open a saved analyzer without its recording, whose class is named by a file in it."""
    refuse_pickles(folder)
    nothing = si.NumpyRecording([np.zeros((1, 1))], sampling_frequency=1.0)  # in its place
    analyzer = si.SortingAnalyzer.load(folder, recording=nothing, load_extensions=load_extensions)
    add_silent_segments(analyzer.sorting, len(analyzer.rec_attributes["num_samples"]))
    return analyzer


def _recount(run: SorterRun, curated: si.BaseSorting) -> list[GroupRun]:
    """Return the groups with the number of units that are left."""
    if run.split_by is None:
        return []
    counts = Counter(curated.get_property(run.split_by).tolist())
    return [replace(each, n_units=counts[each.group]) for each in run.groups]


def _compute(
    sorting: si.BaseSorting,
    recording: si.BaseRecording,
    folders: AnalysisFolders,
    split_by: str | None,
) -> tuple[si.BaseSorting, dict[str, int]]:
    """Write the analyzer and its tables; return the curated sorting and the units by label."""
    shutil.rmtree(folders.scratch, ignore_errors=True)
    analyzer = create_analyzer(sorting, recording, folders.scratch / "all_units", split_by)
    compute_templates(analyzer)
    analyzer = _leave_out_redundant(analyzer, folders.scratch / "kept_units")
    compute_extensions(analyzer)
    metrics = analyzer.get_extension("quality_metrics").get_data()
    metrics.to_csv(folders.results / METRICS, index_label="unit_id")
    labels = label_units(analyzer, folders.results / LABELS)
    with part("saving"):
        shutil.rmtree(folders.results / ANALYZER, ignore_errors=True)
        analyzer.save_as(
            format="zarr",
            folder=folders.results / ANALYZER,
            backend_options={"saving_options": {"compressor": COMPRESSOR}},
        )
    curated = in_memory(analyzer.sorting, with_metadata=True)
    shutil.rmtree(folders.scratch)
    return curated, labels


def create_analyzer(
    sorting: si.BaseSorting, recording: si.BaseRecording, folder: Path, split_by: str | None
) -> si.SortingAnalyzer:
    """Create an analyzer in `folder`, each unit on the channels near its main one.

    Parameters
    ----------
    split_by
        property of units and channels, of which a unit has its own group's channels only
    """
    # half, as the next sorter may run meanwhile
    shared_bytes = free_disk_bytes(SHARED_MEMORY) // 2
    main, sparsity = unit_channels(sorting, recording, split_by, shared_bytes)
    return si.create_sorting_analyzer(
        sorting,
        recording,
        format="binary_folder",
        folder=folder,
        main_channel_indices=main,
        sparsity=sparsity,
        return_in_uV=recording.has_scaleable_traces(),
    )


def _leave_out_redundant(analyzer: si.SortingAnalyzer, folder: Path) -> si.SortingAnalyzer:
    kept = find_distinct_units(analyzer)
    redundant = [unit for unit in analyzer.unit_ids if unit not in kept]
    if not redundant:
        return analyzer
    logger.info(
        "%d units left out, as another one has the same spikes: %s",
        len(redundant),
        ", ".join(map(str, redundant)),
    )
    return analyzer.select_units(kept, format="binary_folder", folder=folder)
