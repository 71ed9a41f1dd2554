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
from pathlib import Path

import dotenv
import spikeinterface as si

from spikeinterface_cloud.analysis import AnalysisFolders, analyse
from spikeinterface_cloud.assignment import assigned, place_in_manifest
from spikeinterface_cloud.comparison import compare, compare_with_truth
from spikeinterface_cloud.errors import CloudJobError, Interrupted
from spikeinterface_cloud.exports.exporting import ExportPlan, Sorted, export, plan_exports
from spikeinterface_cloud.exports.publication import check_session, upload_units
from spikeinterface_cloud.instance import find_instance
from spikeinterface_cloud.interruption import interruptible
from spikeinterface_cloud.log import configure_logging, step
from spikeinterface_cloud.machine import describe_machine, workers
from spikeinterface_cloud.preflight import (
    Finding,
    Preflight,
    check_memory_for,
    check_settings,
    exit_code_of,
    raise_failures,
    table,
)
from spikeinterface_cloud.preprocessing import PreprocessedRecording, preprocess
from spikeinterface_cloud.publishing import COMPARISON, Results, publishing
from spikeinterface_cloud.recording.opening import OpenedRecording, open_source
from spikeinterface_cloud.report.report import Report
from spikeinterface_cloud.report.sample import take_sample
from spikeinterface_cloud.run_record import RunRecord
from spikeinterface_cloud.settings import JobSettings
from spikeinterface_cloud.sorters import complete_parameters
from spikeinterface_cloud.sorting import SortingTask, sort
from spikeinterface_cloud.sources import fetch_source
from spikeinterface_cloud.summary import log_outcome, log_preamble, log_summary
from spikeinterface_cloud.transfer.storage import Storage
from spikeinterface_cloud.workplace import open_results_folder, scratch_folder

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
            dotenv.load_dotenv(Path(".env"))
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


def check_surroundings(settings: JobSettings) -> list[Finding]:
    """Hold the settings against what is there: the source, the target, this machine."""
    with scratch_folder(settings.scratch_folder) as scratch:
        results = open_results(settings)
        return Preflight(settings, scratch).run(results.check_target)


def run_job(environ: Mapping[str, str]) -> int:
    """Run the job from its settings to its results, which leave whichever way it ends."""
    settings = JobSettings.from_env(assigned(environ))
    results = open_results(settings)
    results.record.manifest = place_in_manifest(environ)
    results.record.instance = find_instance(environ)
    results.log_file.unlink(missing_ok=True)
    configure_logging(results.log_file)
    log_preamble(results.record)
    si.set_global_job_kwargs(
        n_jobs=workers(settings.n_jobs), chunk_duration="1s", progress_bar=False
    )
    gc.freeze()  # what is imported stays; SpikeInterface collects after each chunk it writes
    report = Report(folder=results.folder, record=results.record, sorters=settings.sorters)
    with scratch_folder(settings.scratch_folder) as scratch, publishing(results, report.write):
        opened = fetch_and_open(settings, results, scratch)
        exports = prepare_exports(settings, opened, results, scratch)
        preprocessed = prepare(settings, opened, report, scratch)
        sortings = {}
        for sorter in settings.sorters:
            sorting = sort_and_analyse(settings, sorter, preprocessed, results, scratch)
            export_last(exports, preprocessed, results)
            results.publish(sorter)
            if sorting is not None:
                sortings[sorter] = sorting
        compare_all(sortings, opened.ground_truth, results)
        upload_failure = upload_to_dandi(settings, exports, results)
        log_summary(results.record, str(results))
        results.record.raise_for_failures()
        if upload_failure is not None:
            raise upload_failure
    return os.EX_OK


def open_results(settings: JobSettings) -> Results:
    """The results folder, and the target as far as settings tell of it."""
    return Results(
        open_results_folder(settings.results_folder),
        settings.target,
        Storage(settings.aws) if settings.target else None,
        RunRecord(
            settings=settings.masked(),
            run_identifier=settings.run_identifier,
            machine=describe_machine(),
        ),
    )


def fetch_and_open(settings: JobSettings, results: Results, scratch: Path) -> OpenedRecording:
    """Refuse early what cannot end well, then bring the recording here and open it."""
    record = results.record
    with step("check", record.steps):
        preflight = Preflight(settings, scratch)
        raise_failures(preflight.run(results.check_target))
        results.begin(settings.sorters)
    source = preflight.found_source()
    record.source = source.provenance
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
    concerns = check_memory_for(settings, opened.facts)
    record.recording = {**opened.facts, "notes": [*opened.notes, *concerns]}
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
            {name: settings.sorters_kwargs.get(name, {}) for name in settings.sorters},
            scratch / "preprocessed",
        )
        preprocessing.size_bytes = preprocessed.size_bytes
    record.preprocessing = {
        "steps": preprocessed.steps,
        "bad_channels": preprocessed.bad_channels,
    }
    with step("sample for the report", record.steps):
        report.sample = take_sample(opened.recording, preprocessed)
    if preprocessed.size_bytes:  # nothing reads the source any more, and sorters need the space
        shutil.rmtree(scratch / SOURCE, ignore_errors=True)
    return preprocessed


def sort_and_analyse(
    settings: JobSettings,
    sorter: str,
    preprocessed: PreprocessedRecording,
    results: Results,
    scratch: Path,
) -> si.BaseSorting | None:
    """Run one sorter and analyse what it found; whatever goes wrong with it stays with it."""
    record = results.record
    task = SortingTask(
        sorter=sorter,
        parameters=complete_parameters(sorter, settings.sorters_kwargs.get(sorter, {})),
        n_jobs=workers(settings.n_jobs),
        scratch_folder=scratch / sorter,
        results_folder=results.folder / sorter,
    )
    with step(f"sort with {sorter}", record.steps):
        run, sorting = sort(preprocessed.for_sorting, preprocessed.for_analysis, task)
    if sorting is not None:
        folders = AnalysisFolders(scratch=scratch / "analyzer", results=results.folder / sorter)
        with step(f"analyse {sorter}", record.steps):
            run, sorting = analyse(run, sorting, preprocessed.for_analysis, folders)
    record.sorters.append(run)
    log_outcome(run)
    shutil.rmtree(task.scratch_folder, ignore_errors=True)
    return sorting


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


def export_last(plan: ExportPlan, preprocessed: PreprocessedRecording, results: Results) -> None:
    """Write the exports of the sorter that ran last, if it found units."""
    run = results.record.sorters[-1]
    if not plan.formats or run.outcome not in ("sorted", "resumed"):
        return
    found = Sorted(sorter=run.sorter, version=run.version, recording=preprocessed.for_sorting)
    with step(f"export {run.sorter}", results.record.steps) as exporting:
        written = export(plan, found)
        exporting.size_bytes = sum(each.size_bytes for each in written)
    results.record.exports += written


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
    with step("compare", record.steps):
        record.n_consensus_units = compare(sortings, folder)
        if ground_truth is not None:
            record.ground_truth = {
                sorter: compare_with_truth(sorting, ground_truth, folder / f"{sorter}_accuracy.csv")
                for sorter, sorting in sortings.items()
            }
    results.publish(COMPARISON)


if __name__ == "__main__":
    sys.exit(main())
