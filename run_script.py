"""Sort one recording: the container's program, steered by environment variables (see README.md).

python run_script.py            run the job; with STREAMS, those of a whole session
python run_script.py --check    check everything that needs no download, and print a table
python run_script.py --gather   gather the results of a session whose streams have been sorted
"""

import os
import signal

if __name__ == "__main__":
    # before the imports, which take seconds: a job that is stopped meanwhile ends with 75, so that
    # Batch retries it, and one with wrong settings ends at once
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(os.EX_TEMPFAIL))
    from spikeinterface_cloud.start.program import start

    STARTED = start(description=(__doc__ or "").partition("\n")[0])

import gc
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import spikeinterface as si

from spikeinterface_cloud import preflight
from spikeinterface_cloud.analysis.comparison import compare, compare_with_truth
from spikeinterface_cloud.array_job import manifest_entry
from spikeinterface_cloud.checks import open_results, print_checks
from spikeinterface_cloud.config.event_lines import thresholds
from spikeinterface_cloud.config.settings import SECRETS, JobSettings
from spikeinterface_cloud.errors import CloudJobError, Interrupted
from spikeinterface_cloud.exports.archive import archive
from spikeinterface_cloud.exports.dandi_upload import (
    DandiTarget,
    are_uploaded,
    check_session,
    upload_units,
)
from spikeinterface_cloud.exports.export import ExportPlan, check_channels, plan_exports
from spikeinterface_cloud.exports.sorter_steps import SorterSteps
from spikeinterface_cloud.fingerprint import check_unchanged, fingerprints, local_files
from spikeinterface_cloud.preprocessing.pipeline import PreprocessedRecording, preprocess
from spikeinterface_cloud.recording.channel_groups import parts
from spikeinterface_cloud.recording.open import OpenedRecording, open_source
from spikeinterface_cloud.recording.source import FoundSource, fetch_source
from spikeinterface_cloud.recording.sync.find_sync import find_sync
from spikeinterface_cloud.report.drift_between import with_drift
from spikeinterface_cloud.report.sample import take_sample
from spikeinterface_cloud.report.writer import Report
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.layout import ACCURACY, COMPARISON, SYNC
from spikeinterface_cloud.results.log_summary import log_outcome, log_preamble, log_summary
from spikeinterface_cloud.results.other_jobs import check_other_jobs, remove_other_jobs
from spikeinterface_cloud.results.publish import publishing
from spikeinterface_cloud.results.resume import Fingerprints, PreviousRun, find_previous, reuse
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.results.sorter_folder import SorterFolder
from spikeinterface_cloud.results.target_lock import exclusive_target
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.runtime.ec2_metadata import find_instance
from spikeinterface_cloud.runtime.environment import (
    empty_working_folder,
    forget_secrets,
    temporary_working_folder,
)
from spikeinterface_cloud.runtime.folders import (
    check_apart,
    for_one_job,
    open_results_folder,
    open_scratch,
)
from spikeinterface_cloud.runtime.host import free_disk_bytes, workers
from spikeinterface_cloud.runtime.logging import configure_logging, step
from spikeinterface_cloud.runtime.scratch import job_scratch
from spikeinterface_cloud.runtime.signals import interruptible
from spikeinterface_cloud.runtime.spot import stop_before_reclaim
from spikeinterface_cloud.session.exit_codes import leave_failures_to_gathering
from spikeinterface_cloud.session.gather import gather
from spikeinterface_cloud.session.run_streams import run_streams
from spikeinterface_cloud.session.streams import find_session
from spikeinterface_cloud.session.triggers import resolve_triggers, trigger_source
from spikeinterface_cloud.sorting.ahead import one_ahead
from spikeinterface_cloud.sorting.derived_parameters import check_rate
from spikeinterface_cloud.sorting.shared_memory import check_shared_memory
from spikeinterface_cloud.sorting.task import SortingTask, sorting_tasks
from spikeinterface_cloud.start.program import Start, log_error

logger = logging.getLogger("spikeinterface_cloud.run_script")

#: where on scratch the fetched recording is
SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Job:
    """A job whose checks have passed."""

    settings: JobSettings
    tasks: Sequence[SortingTask]
    source: FoundSource
    fingerprints: Fingerprints
    results: Results
    report: Report
    scratch: Path

    @property
    def record(self) -> RunRecord:
        """What `run.json` will say."""
        return self.results.record


def main(started: Start) -> int:
    """Run the job, or only its checks, and give the exit code of the contract."""
    settings = started.settings
    try:
        with interruptible():
            if settings is None:
                return print_checks(os.environ)
            if started.only_gather or settings.streams is not None:
                return run_session(settings, os.environ, only_gather=started.only_gather)
            return run_job(settings, os.environ, part_of_session=started.part_of_session)
    except (CloudJobError, Interrupted) as error:
        return log_error(error)


def run_session(settings: JobSettings, environ: Mapping[str, str], *, only_gather: bool) -> int:
    """Run the job of each stream, unless that has been done, and gather their results."""
    secrets = {name: environ[name] for name in SECRETS if name in environ}
    forget_secrets(SECRETS)
    folder = open_results_folder(settings.results_folder)
    check_apart(folder, settings.source)
    session = find_session(settings)
    program = Path(__file__).resolve()
    with for_one_job(folder), temporary_working_folder():
        exit_codes = {} if only_gather else run_streams(session, program, folder, secrets)
        gather(session, folder, environ, exit_codes)
    return os.EX_OK


def run_job(settings: JobSettings, environ: Mapping[str, str], *, part_of_session: bool) -> int:
    """Run the job from its settings to its results, which are published whichever way it ends."""
    forget_secrets(SECRETS)
    results = open_results(settings)
    leaving = leave_failures_to_gathering(results) if part_of_session else nullcontext()
    with leaving, for_one_job(results.folder):
        start_record(results, environ)
        si.set_global_job_kwargs(
            n_jobs=workers(settings.n_jobs), chunk_duration="1s", progress_bar=False
        )
        gc.freeze()  # what is imported stays; SpikeInterface collects after each chunk it writes
        check_and_run(settings, results, environ)
    return os.EX_OK


def start_record(results: Results, environ: Mapping[str, str]) -> None:
    """Begin the record and the log of the job."""
    results.record.manifest = manifest_entry(environ)
    results.record.instance = find_instance(environ)
    results.discard_hidden_log()
    configure_logging(results.log_file)
    log_preamble(results.record)


def check_and_run(settings: JobSettings, results: Results, environ: Mapping[str, str]) -> None:
    """Run the job unless a check fails or an earlier attempt has completed it."""
    record = results.record
    report = Report(folder=results.folder, record=record, sorters=settings.sorters)
    with ExitStack() as stack, publishing(results, report.write):
        stack.enter_context(stop_before_reclaim(record.instance, environ))
        scratch_parent = open_scratch(settings.scratch_folder)
        tasks = sorting_tasks(settings)
        with step("check", record.steps):
            checks = preflight.Preflight(settings, tasks, scratch_parent)
            preflight.raise_failures(checks.run(results.check_target))
        source = checks.found_source()
        record.source = source.provenance
        stack.enter_context(exclusive_target(results, environ))
        this_job = fingerprints(settings, tasks, source)
        record.fingerprint = this_job.job
        check_other_jobs(results, this_job, overwrite=settings.overwrite)
        if settings.overwrite:
            remove_other_jobs(results, this_job)
        previous = find_previous(results, this_job)
        target = dandi_target(settings, this_job)
        if previous.record is not None and (
            target is None or are_uploaded(target, previous.record.exports)
        ):
            reuse(results, previous)
            log_summary(record, str(results))
            return
        scratch = stack.enter_context(job_scratch(scratch_parent, this_job.job))
        stack.enter_context(empty_working_folder(scratch))
        run_pipeline(Job(settings, tasks, source, this_job, results, report, scratch), previous)


def dandi_target(settings: JobSettings, this_job: Fingerprints) -> DandiTarget | None:
    """Return the draft dandiset that the units go to, if the settings name one."""
    if settings.target_dandiset is None:
        return None
    return DandiTarget(
        dandiset=settings.target_dandiset,
        access=settings.dandi,
        fingerprints=this_job.sorters,
        overwrite=settings.overwrite,
    )


def run_pipeline(job: Job, previous: PreviousRun) -> None:
    """Fetch the recording and run the sorters, except for what an earlier attempt has done."""
    job.results.clear_previous_run()
    files = local_files(job.source, job.settings, job.results.folder)
    opened = fetch_and_open(job)
    if previous.archive is not None and opened.as_read is not None:
        archive(opened.as_read, previous.archive, job.record)
    exports = prepare_exports(job, opened)
    preprocessed = preprocess_recording(job, opened)
    check_unchanged(files)
    if job.source.stream is not None:
        job.source.stream()  # which refuses an object that was replaced
    check_channels(exports, preprocessed.filtered_recording)
    sortings = sort_and_analyze(job, previous, opened, preprocessed, exports)
    if preprocessed.size_bytes == 0:  # the sorters read the files themselves
        check_unchanged(files)
    compare_all(sortings, opened.ground_truth, job.results)
    upload_failure = upload_to_dandi(job, exports)
    log_summary(job.record, str(job.results))
    job.record.raise_for_failures()
    if upload_failure is not None:
        raise upload_failure


def fetch_and_open(job: Job) -> OpenedRecording:
    """Fetch the recording and open it."""
    settings, record = job.settings, job.record
    with step("fetch", record.steps) as fetching:
        fetched = fetch_source(job.source, job.scratch / SOURCE)
        fetching.size_bytes = fetched.size_bytes
    with step("open", record.steps):
        opened = open_source(
            fetched,
            settings.reader,
            settings.read_recording_kwargs,
            settings.sub_recording_n_frames,
            keep_as_read=settings.archive != "none",
            split_by=settings.split_by,
        )
    if settings.wants_sync and fetched.path is not None:
        write_sync_line(job, fetched.path)
    rate_hz = opened.summary["sampling_frequency_hz"]
    check_rate(rate_hz, settings.preprocessing, settings.sorter_parameters)
    for part in parts(opened.recording, settings.split_by):
        check_shared_memory(settings.sorters, part)
    warnings = preflight.check_memory_for(settings, opened.summary)
    record.recording = {**opened.summary, "notes": [*opened.notes, *warnings]}
    return opened


def write_sync_line(job: Job, path: Path) -> None:
    """Write the pulses that the clocks of a session's streams are aligned by."""
    settings, file = job.settings, job.results.folder / SYNC
    with step("read the sync line", job.record.steps), room_for_results(file):
        line = find_sync(
            path,
            settings.reader,
            settings.read_recording_kwargs,
            settings.clock_line,
            thresholds(settings.events),
        )
        line.write(file)
    job.results.publish_files(SYNC, [file])


def preprocess_recording(job: Job, opened: OpenedRecording) -> PreprocessedRecording:
    """Preprocess the recording into the one file that every sorter reads."""
    settings, record = job.settings, job.record
    with step("preprocess", record.steps) as preprocessing:
        choice, notes = resolve_triggers(
            settings.preprocessing, opened.recording, trigger_source(settings, opened)
        )
        preprocessed = preprocess(
            opened.recording,
            choice,
            settings.sorter_parameters,
            job.scratch / "preprocessed",
            split_by=settings.split_by,
        )
        preprocessing.size_bytes = preprocessed.size_bytes
    record.preprocessing = replace(preprocessed, notes=[*notes, *preprocessed.notes]).describe()
    return preprocessed


def sample_for_report(
    job: Job, opened: OpenedRecording, preprocessed: PreprocessedRecording
) -> None:
    """Take what the report shows of the recording; remove the source if space is short."""
    record = job.record
    with step("sample for the report", record.steps):
        job.report.sample = take_sample(opened.recording, preprocessed)
        record.recording = with_drift(record.recording, job.report.sample)
    if free_disk_bytes(job.scratch) < preprocessed.size_bytes:
        # sorters need the space more than the next attempt, and nothing reads the source any more
        shutil.rmtree(job.scratch / SOURCE, ignore_errors=True)


def sort_and_analyze(
    job: Job,
    previous: PreviousRun,
    opened: OpenedRecording,
    preprocessed: PreprocessedRecording,
    exports: ExportPlan,
) -> dict[str, si.BaseSorting]:
    """Run each sorter, and analyze and export its units while the next one sorts.

    Where memory or disk may not suffice for both, one waits for the other. What an earlier attempt
    has done is not done again.
    """
    record, sorters = job.record, job.settings.sorters
    steps = SorterSteps(
        tasks={task.sorter: task for task in job.tasks},
        preprocessed=preprocessed,
        record=record,
        scratch=job.scratch,
    )
    sortings = {}

    def fits(folder: SorterFolder) -> bool:
        if free_disk_bytes(job.scratch) < preprocessed.size_bytes:
            return False
        return preflight.sorts_beside_analysis(folder.sorter, job.settings, record.recording)

    with one_ahead(steps.find_units, previous.execution_order(), fits) as in_turn:
        sample_for_report(job, opened, preprocessed)
        for folder, found in in_turn:
            run, sorting = steps.analyze(found, folder)
            log_outcome(run)
            record.sorters.append(run)
            steps.export(run, exports, folder)
            folder.finish(run, record.exports)
            if sorting is not None:
                sortings[run.sorter] = sorting
    record.sorters.sort(key=lambda run: sorters.index(run.sorter))
    return {name: sortings[name] for name in sorters if name in sortings}


def prepare_exports(job: Job, opened: OpenedRecording) -> ExportPlan:
    """Read what the exports need of the source, and refuse what an archive would not take."""
    settings, record = job.settings, job.record
    recording, folder = opened.recording, job.results.folder
    plan = plan_exports(settings.exports, recording, record.source, folder, opened.parts)
    if (target := dandi_target(settings, job.fingerprints)) is not None:
        with step("check the session for DANDI", record.steps):
            check_session(plan, target, job.scratch)
    return plan


def upload_to_dandi(job: Job, plan: ExportPlan) -> CloudJobError | None:
    """Upload the units of each sorter if the settings ask for it; return the first error."""
    target = dandi_target(job.settings, job.fingerprints)
    if target is None:
        return None
    with step("upload to DANDI", job.record.steps) as uploading:
        runs, failure = upload_units(plan, target, job.record.exports)
        uploading.size_bytes = sum(run.size_bytes for run in runs)
    job.record.exports += runs
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
    sys.exit(main(STARTED))
