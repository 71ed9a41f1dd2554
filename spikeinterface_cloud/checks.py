"""`run_script.py --check`: the checks of a job, or of each stream of a session, and their table."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from spikeinterface_cloud import preflight
from spikeinterface_cloud.config.settings import SECRETS, JobSettings
from spikeinterface_cloud.fingerprint import fingerprints
from spikeinterface_cloud.results.folder import Results, ResultsState
from spikeinterface_cloud.results.layout import check_replaceable
from spikeinterface_cloud.results.other_jobs import check_other_jobs
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.runtime.folders import (
    check_apart,
    chosen_results,
    chosen_scratch,
    open_results_folder,
    open_scratch,
)
from spikeinterface_cloud.runtime.host import describe_machine
from spikeinterface_cloud.session.streams import find_session
from spikeinterface_cloud.sorting.availability import are_installed
from spikeinterface_cloud.sorting.task import sorting_tasks
from spikeinterface_cloud.storage.session import Storage


def print_checks(environ: Mapping[str, str]) -> int:
    """Run only the checks, of each stream of a session, and print their table."""
    result, settings = preflight.check_settings(environ)
    if settings is not None and settings.streams is not None:
        return _print_checks_of_streams(settings, environ)
    results = [result, *(check_folders_and_machine(settings) if settings else [])]
    sys.stdout.write(f"{preflight.table(results)}\n")
    return preflight.exit_code_of(results)


def _print_checks_of_streams(settings: JobSettings, environ: Mapping[str, str]) -> int:
    session = find_session(settings)
    secrets = {name: environ[name] for name in SECRETS if name in environ}
    folder = chosen_results(settings.results_folder)
    exit_codes = []
    for stream in session.streams:
        own = JobSettings.from_env({**secrets, **session.variables_of(stream, folder)})
        results = check_folders_and_machine(own)
        sys.stdout.write(f"{stream.folder}\n{preflight.table(results)}\n\n")
        exit_codes.append(preflight.exit_code_of(results))
    return next(filter(None, exit_codes), os.EX_OK)


def check_folders_and_machine(settings: JobSettings) -> list[preflight.CheckResult]:
    """Check the settings against the folders, the source, the target and this machine."""
    tasks = sorting_tasks(settings)
    checks = preflight.Preflight(settings, tasks, chosen_scratch(settings.scratch_folder))

    def check_target() -> None:
        if settings.target is not None:
            Storage(settings.aws).check_writable(settings.target)

    results: Results | None = None

    def check_results_folder() -> Path:
        nonlocal results
        results = open_results(settings)
        return results.folder

    def check_earlier_results() -> str:
        assert results is not None
        results.state = ResultsState.WRITABLE
        job = fingerprints(settings, tasks, checks.found_source())
        return check_other_jobs(results, job, overwrite=settings.overwrite)

    checked = [
        preflight.attempt("results", check_results_folder),
        preflight.attempt(
            "scratch", lambda: open_scratch(settings.scratch_folder) or "a temporary folder"
        ),
        *checks.run(check_target),
    ]
    if not any(result.error for result in checked):
        checked.append(preflight.attempt("earlier results", check_earlier_results))
    return checked


def open_results(settings: JobSettings) -> Results:
    """Open the results folder, and the target if the settings name one."""
    folder = open_results_folder(settings.results_folder)
    check_apart(folder, settings.source)
    if are_installed(settings.sorters):  # else the check of the sorters fails
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
