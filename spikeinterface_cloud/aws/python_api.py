"""Submit a job from Python and look after it: `from spikeinterface_cloud import submit`.

The functions are those of the command line, and so are checks, precedence and messages. Nothing is
printed: notes and changes of state go to the log of this module.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikeinterface_cloud.aws.batch import results as stored
from spikeinterface_cloud.aws.batch.jobs import (
    JobState,
    look_up,
    look_up_one,
    no_such_job,
    terminate,
)
from spikeinterface_cloud.aws.batch.logs import show_log
from spikeinterface_cloud.aws.batch.submission import find_existing, prepare, send
from spikeinterface_cloud.aws.batch.wait import UNKNOWN_REPLIES, wait_for_ends
from spikeinterface_cloud.aws.diagnose.job_checks import explain_end
from spikeinterface_cloud.aws.python_arguments import (
    as_options,
    in_python,
    invoke,
    job_options,
    python_errors,
    submit_options,
    variables,
)
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.errors import CloudJobError

logger = logging.getLogger(__name__)


class JobFailedError(CloudJobError):
    """A job ended without success; the exit code is that of its container."""

    def __init__(self, state: JobState) -> None:
        has_ended = state.exit_code is not None or state.is_canceled
        known = explain_end(state) if has_ended else None
        why = (
            f"{known.meaning}; {known.remedy}"
            if known
            else f"find out why: spikeinterface-cloud diagnose {state.job_id}"
        )
        super().__init__(f"{state.describe()}; {why}")
        self.exit_code = state.final_exit_code
        #: the last state of the job
        self.state = state


@dataclass(frozen=True)
class Results:
    """The results of a job, as they are at its target.

    Attributes
    ----------
    target : str
        Where they are: `s3://bucket/folder`.
    record : dict
        The content of `run.json`.
    files : tuple of str
        The paths of all files, relative to the target.
    """

    target: str
    record: dict[str, Any] = field(repr=False)
    files: tuple[str, ...] = field(repr=False)
    _objects: Sequence[stored.ResultFile] = field(repr=False)
    _session: AwsSession = field(repr=False)

    def download(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Download all files; those that are there and unchanged are kept.

        Parameters
        ----------
        folder : path
            Where to; it is made if it is missing.

        Returns
        -------
        list of pathlib.Path
            The files.
        """
        with python_errors():
            fetched = stored.download(self._session.storage, self._objects, Path(folder))
            return [Path(folder) / file.name for file in fetched]


@dataclass(frozen=True)
class Job:
    """A job on AWS Batch. `submit` returns one, and `Job.find` finds an earlier one.

    Attributes
    ----------
    job_id : str
        The identifier that AWS gave it.
    """

    job_id: str
    _session: AwsSession = field(repr=False, compare=False)
    #: those of the file, without which later clients would differ
    _variables: Mapping[str, str] = field(repr=False, compare=False)
    #: `s3://bucket/folder`, where known
    _target: str | None = field(default=None, repr=False, compare=False)

    @classmethod
    def find(
        cls,
        job_id: str,
        *,
        profile: str | None = None,
        region: str | None = None,
        env_file: str | os.PathLike[str] | None = None,
    ) -> Job:
        """Find a job that was submitted earlier, from here or elsewhere.

        Parameters
        ----------
        job_id : str
            Its id, its ARN, or the URL of its page in AWS's console.
        profile, region, env_file : str, optional
            As those of `submit`.
        """
        given = as_options({"profile": profile, "region": region, "env_file": env_file})
        with python_errors(), variables():
            job = cls(*invoke(job_options, [*given, "--", job_id]))
            look_up_one(job._session.client("batch"), job.job_id)
        return job

    def status(self) -> JobState:
        """Return the state of the job now.

        Returns
        -------
        JobState
            Among others with `status` (like `RUNNING`), `is_over`, `exit_code`, `reason` and
            `n_attempts`.
        """
        batch = self._session.client("batch")
        with python_errors():
            for _ in range(UNKNOWN_REPLIES):  # AWS needs a moment after the submission
                if state := look_up(batch, [self.job_id]).get(self.job_id):
                    return state
                time.sleep(1)
            raise no_such_job(self.job_id, batch)

    def wait(self, poll_interval: float = 10.0) -> JobState:
        """Wait until the job ends. Ctrl-C stops the waiting, not the job.

        Parameters
        ----------
        poll_interval : float
            Seconds between two requests to AWS.

        Returns
        -------
        JobState
            The last state, which is `SUCCEEDED`.

        Raises
        ------
        JobFailedError
            If the job ends without success; its `exit_code` is the container's.
        WatchError
            If AWS refuses to say more about the job, which goes on.
        """
        with python_errors():
            batch = self._session.client("batch")
            [state] = wait_for_ends(batch, [self.job_id], poll_interval, logger.info)
            if state.status != "SUCCEEDED":
                raise JobFailedError(state)
            return state

    def logs(self) -> list[str]:
        """Return the lines of the log so far, of all attempts.

        Returns
        -------
        list of str
            Empty before the container starts; then the reason is logged as a warning.
        """
        lines: list[str] = []
        with python_errors(), variables(self._variables):
            if why_empty := show_log(self._session, self.job_id, lines.append):
                logger.warning("%s", why_empty)
        return lines

    def results(self) -> Results:
        """Find the results at the target.

        Returns
        -------
        Results
            With `record` (the content of `run.json`), `files`, and `download(folder)`.

        Raises
        ------
        AwsError
            If the target has no `run.json`: the job is under way, was killed, or never started.
        """
        with python_errors(), variables(self._variables):
            target, state = stored.locate(self._session, self._target or self.job_id)
            storage = self._session.storage
            record = stored.read_record(storage, target)
            if record is None:
                raise stored.no_record(target, state or self.status())
            known = look_up(self._session.client("batch"), [self.job_id])
            stored.refuse_other_record(record, target, known.get(self.job_id))
            files = stored.list_results(storage, target)
        return Results(
            target=str(target),
            record=record.model_dump(exclude_unset=True),
            files=tuple(str(file.name) for file in files),
            _objects=files,
            _session=self._session,
        )

    def cancel(self, reason: str = "cancelled by its user") -> None:
        """End the job, unless it has ended.

        Parameters
        ----------
        reason : str
            What AWS shows as its reason.
        """
        if not self.status().is_over:
            with python_errors():
                terminate(self._session.client("batch"), self.job_id, reason)


def submit(
    *,
    source: Sequence[str] | str | None = None,
    target: str | None = None,
    data_type: str | None = None,
    read_recording_kwargs: Mapping[str, Any] | None = None,
    sorters: Sequence[str] | str | None = None,
    sorters_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
    preprocessing: Mapping[str, Any] | str | None = None,
    exports: Sequence[str] | str | None = None,
    overwrite: bool = False,
    env: Mapping[str, Any] | None = None,
    stack: str | None = None,
    compute: str | None = None,
    job_queue: str | None = None,
    job_definition: str | None = None,
    job_name: str | None = None,
    gpus: int | None = None,
    vcpus: int | None = None,
    memory: int | str | None = None,
    timeout: int | str | None = None,
    attempts: int | None = None,
    tags: Mapping[str, str] | None = None,
    share_identifier: str | None = None,
    priority: int | None = None,
    depends_on: Sequence[Job | str] = (),
    skip_existing: bool = False,
    profile: str | None = None,
    region: str | None = None,
    env_file: str | os.PathLike[str] | None = None,
) -> Job:
    """Submit the job of one recording to AWS Batch.

    What an argument does not give comes from the environment, then from `.env`, then from the
    outputs of the stack, as on the command line.

    Parameters
    ----------
    source : str or list of str
        The recording: `s3://bucket/folder`, `dandi://dandi/000006@draft/a.nwb`, or the `https://`
        URL of a DANDI asset. A list joins recordings of one probe, in order.
    target : str
        Where the results go: `s3://bucket/folder`.
    data_type : str
        The SpikeInterface reader: `spikeglx`, `openephys`, `nwb`, ...
    read_recording_kwargs : dict
        Arguments of the reader.
    sorters : list of str
        The sorters, in order.
    sorters_kwargs : dict
        Parameters by sorter.
    preprocessing : str or dict
        `default`, `none`, or SpikeInterface's steps with their parameters.
    exports : list of str
        `nwb`, `phy`, or both.
    overwrite : bool
        Replace the results of another job at the target.
    env : dict
        Any other setting of the job, by its variable; None leaves it unset.
    stack : str
        CloudFormation stack with queue and definition; by default that of `infra up`.
    compute : str
        The stack's queue: `spot` (GPUs, the default), `on-demand` (GPUs) or `cpu`.
    job_queue : str
        Name or ARN; by default the stack's.
    job_definition : str
        Name, name:revision or ARN; by default the stack's.
    job_name : str
        Beginning of the job's name, before a hash of the job.
    gpus : int
        Instead of the job definition's.
    vcpus : int
        Instead of the job definition's.
    memory : int or str
        Instead of the job definition's: MiB, or like `30GiB`.
    timeout : int or str
        Time limit of an attempt: seconds, or like `90m`, `12h`, `2d`.
    attempts : int
        1 to 10 (3 by default): AWS retries a job that lost its machine, never one with bad input.
    tags : dict
        Tags of the job; None leaves one out.
    share_identifier : str
        The job's share of a fair-share queue.
    priority : int
        Within that share, 0 to 9999; the highest goes first.
    depends_on : list of Job or str
        Jobs that must succeed first.
    skip_existing : bool
        If the same job, of the same name, is in the queue or has succeeded there, return it and
        submit nothing.
    profile : str
        Profile of `~/.aws`.
    region : str
        By default the profile's.
    env_file : path
        File with variables, which the environment overrides; `.env` by default.

    Returns
    -------
    Job
        The job, with `status()`, `wait()`, `logs()` and `results()`.

    Raises
    ------
    CloudJobError
        If the job is refused, here or by AWS: a line for each problem, with its remedy. Its
        `exit_code` is that of the command line.
    """
    given = locals()
    given["source"] = [source] if isinstance(source, str) else source
    waits_for = [depends_on] if isinstance(depends_on, str | Job) else depends_on
    given["depends_on"] = [job.job_id if isinstance(job, Job) else job for job in waits_for]
    with python_errors(), variables():
        session, wanted = invoke(submit_options, as_options(given))
        prepared = prepare(session, wanted, os.environ, _note)
        job_id = find_existing(session, prepared, _note, skip=wanted.skip_existing)
        if job_id is None:
            sent = send(session, prepared)
            job_id = sent.job_id
            logger.info(
                "submitted %s to account %s in %s", prepared.name, sent.account, sent.region
            )
    target = None if prepared.target is None else str(prepared.target)
    return Job(job_id, session, wanted.env_file, target)


def _note(text: str) -> None:
    logger.warning("%s", in_python(text))
