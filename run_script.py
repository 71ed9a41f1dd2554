"""Sort one recording: the container's program, steered by environment variables (see README.md).

python run_script.py            run the job
python run_script.py --check    check everything that needs no download, and print a table
"""

import argparse
import gc
import logging
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import spikeinterface as si

from spikeinterface_cloud.analysis.analyzer import (
    AnalysisFolders,
    analyze,
    load_sorting,
    save_sorting,
)
from spikeinterface_cloud.analysis.comparison import compare, compare_with_truth
from spikeinterface_cloud.array_job import manifest_entry, resolve_environment
from spikeinterface_cloud.config.dotenv import load_env_file
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import CloudJobError, Interrupted
from spikeinterface_cloud.exports.dandi_upload import check_session, upload_units
from spikeinterface_cloud.exports.export import ExportPlan, Sorted, export, plan_exports
from spikeinterface_cloud.fingerprint import fingerprints
from spikeinterface_cloud.preflight import (
    CheckResult,
    Preflight,
    attempt,
    check_memory_for,
    check_settings,
    exit_code_of,
    raise_failures,
    table,
)
from spikeinterface_cloud.preprocessing.pipeline import PreprocessedRecording, preprocess
from spikeinterface_cloud.recording.open import OpenedRecording, open_source
from spikeinterface_cloud.recording.source import FoundSource, fetch_source
from spikeinterface_cloud.report.sample import take_sample
from spikeinterface_cloud.report.writer import Report
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.layout import ACCURACY, COMPARISON, RAW_SORTING, check_replaceable
from spikeinterface_cloud.results.log_summary import log_outcome, log_preamble, log_summary
from spikeinterface_cloud.results.other_jobs import check_other_jobs, remove_other_jobs
from spikeinterface_cloud.results.outcomes import SorterRun
from spikeinterface_cloud.results.publish import publishing
from spikeinterface_cloud.results.resume import PreviousRun, find_previous, reuse
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.results.sorter_folder import SorterFolder
from spikeinterface_cloud.results.target_lock import exclusive_target
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.runtime.ec2_metadata import find_instance
from spikeinterface_cloud.runtime.folders import (
    check_apart,
    chosen_scratch,
    for_one_job,
    open_results_folder,
    open_scratch,
)
from spikeinterface_cloud.runtime.host import describe_machine, free_disk_bytes, workers
from spikeinterface_cloud.runtime.logging import configure_logging, step
from spikeinterface_cloud.runtime.scratch import job_scratch
from spikeinterface_cloud.runtime.signals import interruptible
from spikeinterface_cloud.runtime.spot import stop_before_reclaim
from spikeinterface_cloud.sorting.availability import are_installed
from spikeinterface_cloud.sorting.derived_parameters import check_rate
from spikeinterface_cloud.sorting.run import SortingTask, sort
from spikeinterface_cloud.sorting.shared_memory import check_shared_memory
from spikeinterface_cloud.storage.session import Storage

logger = logging.getLogger("spikeinterface_cloud.run_script")

#: where on scratch the fetched recording is
SOURCE = "source"


def main() -> int:
    """Run the job, or only its checks, and give the exit code of the contract."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="run only the checks")
    only_check = parser.parse_args().check
    configure_logging()
    try:
        with interruptible():
            load_env_file(Path(".env"))
            return check_job(os.environ) if only_check else run_job(os.environ)
    except (CloudJobError, Interrupted) as error:
        for line in str(error).splitlines():
            logger.error("%s", line)
        return error.exit_code


def check_job(environ: Mapping[str, str]) -> int:
    """Print how every check ended."""
    finding, settings = check_settings(environ)
    findings = [finding, *(check_surroundings(settings) if settings else [])]
    sys.stdout.write(f"{table(findings)}\n")
    return exit_code_of(findings)


def check_surroundings(settings: JobSettings) -> list[CheckResult]:
    """Check the settings against the folders, the source, the target and this machine."""
    preflight = Preflight(settings, chosen_scratch(settings.scratch_folder))
    results: Results | None = None

    def check_results() -> Path:
        nonlocal results
        results = open_results(settings)
        return results.folder

    def check_target() -> None:
        if results is not None:
            results.check_target()
        elif settings.target is not None:
            Storage(settings.aws).check_writable(settings.target)

    def check_earlier_results() -> str:
        assert results is not None
        job = fingerprints(settings, preflight.found_source())
        return check_other_jobs(results, job, overwrite=settings.overwrite)

    findings = [
        attempt("results", check_results),
        attempt("scratch", lambda: open_scratch(settings.scratch_folder) or "a temporary folder"),
        *preflight.run(check_target),
    ]
    if not any(finding.error for finding in findings):
        findings.append(attempt("earlier results", check_earlier_results))
    return findings


def run_job(environ: Mapping[str, str]) -> int:
    """Run the job from its settings to its results, which leave whichever way it ends."""
    settings = JobSettings.from_env(resolve_environment(environ))
    results = open_results(settings)
    with for_one_job(results.folder):
        return run_alone(settings, results, environ)


def run_alone(settings: JobSettings, results: Results, environ: Mapping[str, str]) -> int:
    """Run the job in a results folder that no other job writes to."""
    record = results.record
    record.manifest = manifest_entry(environ)
    record.instance = find_instance(environ)
    results.discard_hidden_log()
    configure_logging(results.log_file)
    log_preamble(record)
    si.set_global_job_kwargs(
        n_jobs=workers(settings.n_jobs), chunk_duration="1s", progress_bar=False
    )
    gc.freeze()  # what is imported stays; SpikeInterface collects after each chunk it writes
    report = Report(folder=results.folder, record=record, sorters=settings.sorters)
    with ExitStack() as held, publishing(results, report.write):
        held.enter_context(stop_before_reclaim(record.instance, environ))
        scratch_parent = open_scratch(settings.scratch_folder)
        source = find(settings, results, scratch_parent)
        held.enter_context(exclusive_target(results, environ))
        this_job = fingerprints(settings, source)
        record.fingerprint = this_job.job
        check_other_jobs(results, this_job, overwrite=settings.overwrite)
        if settings.overwrite:
            remove_other_jobs(results, this_job)
        earlier = find_previous(results, this_job)
        if earlier.record is None:
            scratch = held.enter_context(job_scratch(scratch_parent, this_job.job))
            run_pipeline(settings, source, earlier, report, scratch)
        else:
            reuse(results, earlier)
            log_summary(record, str(results))
    return os.EX_OK


def open_results(settings: JobSettings) -> Results:
    """Open the results folder, and the target if the settings name one."""
    folder = open_results_folder(settings.results_folder)
    check_apart(folder, settings.source)
    if are_installed(settings.sorters):  # else that is what is said
        check_replaceable(folder, settings.sorters)
    return Results(
        folder,
        settings.target,
        Storage(settings.aws) if settings.target else None,
        RunRecord(
            settings=settings.masked(),
            run_identifier=settings.run_identifier,
            machine=describe_machine(),
        ),
    )


def find(settings: JobSettings, results: Results, scratch_parent: Path | None) -> FoundSource:
    """Refuse early what cannot end well; where the recording is."""
    with step("check", results.record.steps):
        preflight = Preflight(settings, scratch_parent)
        raise_failures(preflight.run(results.check_target))
    source = preflight.found_source()
    results.record.source = source.provenance
    return source


def run_pipeline(
    settings: JobSettings, source: FoundSource, earlier: PreviousRun, report: Report, scratch: Path
) -> None:
    """Bring the recording here and run the sorters, but for what an earlier attempt has done."""
    results = earlier.results
    results.clear_previous_run()
    opened = fetch_and_open(settings, source, results.record, scratch)
    exports = prepare_exports(settings, opened, results, scratch)
    preprocessed = prepare(settings, opened, report, scratch)
    sortings = {}
    for folder in earlier.execution_order():
        sorting = sort_and_analyze(settings, folder, preprocessed, results.record, scratch)
        export_sorter(exports, preprocessed, folder, results.record)
        folder.finish(results.record.sorters[-1], results.record.exports)
        if sorting is not None:
            sortings[folder.sorter] = sorting
    results.record.sorters.sort(key=lambda run: settings.sorters.index(run.sorter))
    in_order = {name: sortings[name] for name in settings.sorters if name in sortings}
    compare_all(in_order, opened.ground_truth, results)
    upload_failure = upload_to_dandi(settings, exports, results)
    log_summary(results.record, str(results))
    results.record.raise_for_failures()
    if upload_failure is not None:
        raise upload_failure


def fetch_and_open(
    settings: JobSettings, source: FoundSource, record: RunRecord, scratch: Path
) -> OpenedRecording:
    """Bring the recording here and open it."""
    with step("fetch", record.steps) as fetching:
        fetched = fetch_source(source, scratch / SOURCE)
        fetching.size_bytes = fetched.size_bytes
    with step("open", record.steps):
        opened = open_source(
            fetched,
            settings.reader,
            settings.read_recording_kwargs,
            settings.sub_recording_n_frames,
        )
    check_rate(
        opened.summary["sampling_frequency_hz"], settings.preprocessing, settings.sorter_parameters
    )
    check_shared_memory(settings.sorters, opened.recording)
    concerns = check_memory_for(settings, opened.summary)
    record.recording = {**opened.summary, "notes": [*opened.notes, *concerns]}
    return opened


def prepare(
    settings: JobSettings, opened: OpenedRecording, report: Report, scratch: Path
) -> PreprocessedRecording:
    """Preprocess the recording into the one file that every sorter reads."""
    record = report.record
    with step("preprocess", record.steps) as preprocessing:
        preprocessed = preprocess(
            opened.recording,
            settings.preprocessing,
            settings.sorter_parameters,
            scratch / "preprocessed",
        )
        preprocessing.size_bytes = preprocessed.size_bytes
    record.preprocessing = preprocessed.describe()
    with step("sample for the report", record.steps):
        report.sample = take_sample(opened.recording, preprocessed)
    if free_disk_bytes(scratch) < preprocessed.size_bytes:
        # sorters need the space more than the next attempt, and nothing reads the source any more
        shutil.rmtree(scratch / SOURCE, ignore_errors=True)
    return preprocessed


def sort_and_analyze(
    settings: JobSettings,
    folder: SorterFolder,
    preprocessed: PreprocessedRecording,
    record: RunRecord,
    scratch: Path,
) -> si.BaseSorting | None:
    """Run one sorter and analyze its units, except for what an earlier attempt has done.

    Its failure does not affect other sorters.
    """
    sorter = folder.sorter
    run, sorting, analyzed = load_previous(folder, record)
    if run is None:
        run, sorting = run_sorter(settings, folder, preprocessed, record, scratch)
    if sorting is not None and not analyzed:
        folders = AnalysisFolders(scratch=scratch / "analyzer", results=folder.path)
        with step(f"analyze {sorter}", record.steps):
            run, sorting = analyze(run, sorting, preprocessed.filtered_recording, folders)
    record.sorters.append(run)
    log_outcome(run)
    return sorting


def run_sorter(
    settings: JobSettings,
    folder: SorterFolder,
    preprocessed: PreprocessedRecording,
    record: RunRecord,
    scratch: Path,
) -> tuple[SorterRun, si.BaseSorting | None]:
    """Run one sorter; what it finds leaves at once, so that whatever comes then cannot lose it."""
    sorter = folder.sorter
    task = SortingTask(
        sorter=sorter,
        parameters=settings.sorter_parameters[sorter],
        n_jobs=workers(settings.n_jobs),
        scratch_folder=scratch / sorter,
        results_folder=folder.path,
    )
    folder.clear()
    shutil.rmtree(task.scratch_folder, ignore_errors=True)
    with step(f"sort with {sorter}", record.steps):
        run, sorting = sort(preprocessed.for_sorting, preprocessed.filtered_recording, task)
        if sorting is not None:
            save_sorting(sorting, folder.path / RAW_SORTING)
    if sorting is not None:
        folder.finish_sorting(run)
    shutil.rmtree(task.scratch_folder, ignore_errors=True)
    return run, sorting


def load_previous(
    folder: SorterFolder, record: RunRecord
) -> tuple[SorterRun | None, si.BaseSorting | None, bool]:
    """Return an earlier attempt's run of a sorter, its units, and whether they were analyzed."""
    if folder.earlier is None:
        return None, None, False
    with step(f"resume {folder.sorter}", record.steps):
        earlier = folder.fetch()
        if earlier is None:
            return None, None, False
        name = earlier.sorting_folder()
        sorting = load_sorting(folder.path / name) if name else None
    return earlier.sorter_run(), sorting, earlier.analyzed


def prepare_exports(
    settings: JobSettings, opened: OpenedRecording, results: Results, scratch: Path
) -> ExportPlan:
    """Read what the exports need of the source, and refuse what an archive would not take."""
    source = results.record.source
    plan = plan_exports(settings.exports, opened.recording, source, results.folder)
    if settings.target_dandiset:
        with step("check the session for DANDI", results.record.steps):
            check_session(plan, settings.sorters[0], scratch)
    return plan


def export_sorter(
    plan: ExportPlan, preprocessed: PreprocessedRecording, folder: SorterFolder, record: RunRecord
) -> None:
    """Export the units of the sorter that ran last, except for exports of an earlier attempt."""
    run = record.sorters[-1]
    if not plan.formats or run.outcome not in ("sorted", "resumed") or run.n_units == 0:
        return
    earlier = [each for each in folder.earlier_exports() if each.export in plan.formats]
    record.exports += earlier
    missing = [name for name in plan.formats if name not in {each.export for each in earlier}]
    if not missing:
        return
    found = Sorted(sorter=run.sorter, version=run.version, recording=preprocessed.for_sorting)
    with step(f"export {run.sorter}", record.steps) as exporting:
        written = export(replace(plan, formats=missing), found)
        exporting.size_bytes = sum(each.size_bytes for each in written)
    record.exports += written


def upload_to_dandi(
    settings: JobSettings, plan: ExportPlan, results: Results
) -> CloudJobError | None:
    """Upload the units of each sorter where that is asked for; the first error, or None."""
    if settings.target_dandiset is None or settings.dandi_api_key is None:
        return None
    record = results.record
    with step("upload to DANDI", record.steps) as uploading:
        runs, failure = upload_units(
            plan, settings.target_dandiset, settings.dandi_api_key, record.exports
        )
        uploading.size_bytes = sum(run.size_bytes for run in runs)
    record.exports += runs
    return failure


def compare_all(
    sortings: Mapping[str, si.BaseSorting], ground_truth: si.BaseSorting | None, results: Results
) -> None:
    """Compare the sorters with each other and, where it is known, with the truth."""
    record = results.record
    folder = results.folder / COMPARISON
    with step("compare", record.steps), room_for_results(folder):
        record.n_consensus_units = compare(sortings, folder)
        if ground_truth is not None:
            record.ground_truth = {
                sorter: compare_with_truth(sorting, ground_truth, folder / f"{sorter}{ACCURACY}")
                for sorter, sorting in sortings.items()
            }
    results.publish_comparison()


if __name__ == "__main__":
    sys.exit(main())
