"""The options of the commands, with the variable that each of them sets or is read from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any

import click

from spikeinterface_cloud.aws.cli.account import ENV_FILE, open_session, read_env_file
from spikeinterface_cloud.aws.cli.click_sections import (
    JOB_REGION,
    JobId,
    Quantity,
    duration,
    option,
    option_group,
    pair_option,
    poll_interval_option,
)
from spikeinterface_cloud.aws.cli.precedence import drop_weaker_names
from spikeinterface_cloud.aws.program_name import DEFAULT_STACK

#: the parameters of options that set a variable of the job
VARIABLES = {
    "data_type": "DATA_TYPE",
    "read_recording_kwargs": "READ_RECORDING_KWARGS",
    "sorters": "SORTERS",
    "sorters_kwargs": "SORTERS_KWARGS",
    "preprocessing": "PREPROCESSING",
    "exports": "EXPORTS",
    "overwrite": "OVERWRITE",
    "streams": "STREAMS",
    "clock": "CLOCK",
}

#: where a refused value came from
FROM_FILE = f"set in {ENV_FILE} or --env-file"

#: of the variables that give defaults of options
PREFIX = "SPIKEINTERFACE_CLOUD_"

#: the kinds of machines that a stack has queues for
COMPUTE = ("spot", "on-demand", "cpu")

#: the states of a job, in order
STATUSES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")

#: the parameters that list recordings, with the one that goes with it alone
LISTS = {"dandiset": "glob", "source_prefix": "match", "csv": None}


def option_name(parameter: str) -> str:
    """Return the option of a parameter."""
    return f"--{parameter.replace('_', '-')}"


def check_variables(context: click.Context) -> None:
    """Refuse a variable that is almost, but not quite, one of this command's options.

    Raises click.UsageError (2). A variable that resembles none may belong to another program.
    """
    from spikeinterface_cloud.config.typos import find_misspelled  # not for `--help`

    # without the prefix, which would make all of them look alike
    known = [
        parameter.envvar.removeprefix(PREFIX)
        for parameter in context.command.params
        if isinstance(parameter.envvar, str)
    ]
    names = [
        name.removeprefix(PREFIX)
        for name, text in os.environ.items()
        if name.startswith(PREFIX) and text.strip()
    ]
    for name, nearest in sorted(find_misspelled(names, known).items()):
        variable = f"{PREFIX}{name}"
        place = f" ({FROM_FILE})" if variable in context.params["env_file"] else ""
        raise click.UsageError(
            f"{variable}: no variable of this command; did you mean {PREFIX}{nearest}?{place}"
        )


def reject_stray_companions(given: Mapping[str, Any]) -> None:
    """Refuse `--glob` and `--match` without their list; click.UsageError (2)."""
    for name, companion in LISTS.items():
        if companion and given[companion] and not given[name]:
            raise click.UsageError(f"{option_name(companion)} goes with {option_name(name)}.")


def lists_recordings(given: Mapping[str, Any]) -> bool:
    """Return whether the options of `submit` list recordings.

    Raises click.UsageError (2) if they do not go together.
    """
    lists = [option_name(name) for name in LISTS if given[name]]
    if len(lists) > 1:
        raise click.UsageError(f"{' and '.join(lists)}: give one list of recordings.")
    if lists and given["source"]:
        raise click.UsageError(f"{lists[0]} lists the sources; leave --source out.")
    reject_stray_companions(given)
    if given["skip_completed"] and not (lists or given["session_url"]):
        raise click.UsageError(
            "--skip-completed goes with a list of recordings; --skip-existing is for one."
        )
    return bool(lists)


def lists_sessions(given: Mapping[str, Any]) -> bool:
    """Return whether the options of `submit` name sessions, whose streams have a job each.

    Raises click.UsageError (2) if they do not go together.
    """
    others = [option_name(name) for name in ("source", *LISTS) if given[name]]
    if given["session_url"] and others:
        raise click.UsageError(f"--session and {others[0]}: give one of them.")
    if given["session_url"] or (given["streams"] and others and others != ["--source"]):
        return True
    for name in ("streams", "clock"):
        if given[name]:
            raise click.UsageError(
                f"--{name} goes with --session, or with a list of sessions and --streams; one job "
                "sorts the streams one after the other with --env STREAMS=all."
            )
    return False


def _job_variable(name: str, help_text: str) -> Callable[..., Callable[[Any], Any]]:
    """Declare an option that sets the job's variable of the same name."""
    variable = VARIABLES[name.removeprefix("--").replace("-", "_")]
    return option(name, metavar="TEXT", help=f"{help_text}  [variable: {variable}]")


def _with_variable(
    name: str, help_text: str, **attributes: Any
) -> Callable[..., Callable[[Any], Any]]:
    """Declare an option whose default a variable `SPIKEINTERFACE_CLOUD_...` may give."""
    variable = f"{PREFIX}{name.removeprefix('--').replace('-', '_').upper()}"
    help_text = f"{help_text}  [variable: {variable}]"
    return option(name, envvar=variable, help=help_text, **attributes)


_job_queue = _with_variable("--job-queue", "name or ARN; default: the stack's", metavar="NAME")
_stack = _with_variable(
    "--stack",
    f"CloudFormation stack with queue and definition; default: {DEFAULT_STACK}",
    metavar="NAME",
)
_compute = _with_variable(
    "--compute",
    "the stack's queue: GPUs on Spot (default) or on demand, or CPUs",
    type=click.Choice(COMPUTE),
    default=COMPUTE[0],
    metavar="|".join(COMPUTE),
)

recording_options = option_group(
    "Recording and sorting",
    option(
        "--source",
        metavar="URL",
        multiple=True,
        help="the recording: s3://bucket/folder, dandi://dandi/000006@draft/a.nwb, or the "
        "https:// URL of a DANDI asset; repeatable: recordings of one probe, joined in order  "
        "[variables: AWS_S3_BUCKET, AWS_S3_BUCKET_FOLDER, DANDISET_S3_FILE_URL]",
    ),
    option(
        "--target",
        metavar="URL",
        help="where the results go: s3://bucket/folder  [variables: TARGET_AWS_S3_BUCKET, "
        "TARGET_AWS_S3_BUCKET_FOLDER]",
    ),
    _job_variable("--data-type", "SpikeInterface reader: spikeglx, openephys, nwb, ..."),
    _job_variable("--read-recording-kwargs", "arguments of the reader, as JSON"),
    _job_variable("--sorters", "sorters in order: comma-separated names, or a JSON list"),
    _job_variable("--sorters-kwargs", "parameters by sorter, as JSON"),
    _job_variable("--preprocessing", "default, none, or a SpikeInterface pipeline as JSON"),
    _job_variable("--exports", "nwb, phy, or both"),
    pair_option("--env", help="any other setting of the job, by its variable; repeatable"),
)

streams_options = option_group(
    "Session: a job for each of its streams, and one that gathers their results",
    option(
        "--session",
        "session_url",  # the session with AWS is another one
        metavar="URL",
        help="in place of --source: the folder of a SpikeGLX run or an Open Ephys session, like "
        "s3://bucket/raw/run_g0, or an NWB file",
    ),
    _job_variable(
        "--streams",
        "the streams to sort: all (default of --session), or names; with a list of recordings, "
        "each of them is a session",
    ),
    _job_variable(
        "--clock",
        "the stream whose clock all times are on, or none; default: NI-DAQ's, or the first one's",
    ),
)

#: of `submit` and `estimate`
LIST_OPTIONS = (
    option(
        "--dandiset",
        metavar="NAME",
        help="every NWB file of a dandiset: 000003, 000003@0.230629.1955, "
        "dandi://dandi-sandbox/000003@draft",
    ),
    option("--glob", metavar="PATTERN", help="of these files, like 'sub-*/*_ecephys.nwb'"),
    option("--source-prefix", metavar="URL", help="every folder below s3://bucket/raw/"),
    option(
        "--match",
        metavar="PATTERN",
        help="of these folders, like '*/' or 'mouse*/*_g0/'; objects: '*.nwb'",
    ),
    option(
        "--csv",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="every row of a table, whose columns are variables of the job",
    ),
)

list_of_recordings_options = option_group(
    "Many recordings, each with its own folder below the target",
    *LIST_OPTIONS,
    option(
        "--skip-completed",
        is_flag=True,
        help="leave out those whose run.json says success with the same settings",
    ),
    option("--yes", is_flag=True, help="submit without asking"),
)

job_options = option_group(
    "Job on AWS Batch",
    _job_queue,
    _with_variable(
        "--job-definition", "name, name:revision or ARN; default: the stack's", metavar="NAME"
    ),
    _stack,
    _compute,
    _with_variable(
        "--job-name", "beginning of the job's name, before a hash of the job", metavar="NAME"
    ),
    _with_variable(
        "--gpus", "instead of the job definition's", type=click.IntRange(1), metavar="N"
    ),
    _with_variable(
        "--vcpus", "instead of the job definition's", type=click.IntRange(1), metavar="N"
    ),
    _with_variable(
        "--memory",
        "instead of the job definition's: MiB, or like 30GiB",
        type=Quantity("MEMORY", {"": 1, "mib": 1, "gib": 1024}, "30000 (MiB) or 30GiB", 1),
        metavar="SIZE",
    ),
    _with_variable(
        "--timeout",
        "time limit of an attempt: seconds, or like 90m, 12h, 2d; at least a minute",
        type=duration(minimum_s=60),
    ),
    _with_variable(
        "--attempts",
        "1 to 10 (default 3): AWS retries a job that lost its machine, never one with bad input",
        type=click.IntRange(1, 10),
        default=3,
        metavar="N",
    ),
    option(
        "--overwrite",
        is_flag=True,
        help="replace the results of another job at the target  [variable: OVERWRITE]",
    ),
    pair_option("--tag", help="tag of the job; repeatable"),
    _with_variable("--share-identifier", "the job's share of a fair-share queue", metavar="NAME"),
    _with_variable(
        "--priority",
        "within that share, 0 to 9999; the highest goes first",
        type=click.IntRange(0, 9999),
        metavar="N",
    ),
    option(
        "--depends-on",
        type=JobId(),
        multiple=True,
        help="a job that must succeed first; repeatable",
    ),
)

submission_options = option_group(
    "Submission",
    option("--dry-run", is_flag=True, help="print the request, and send nothing"),
    option(
        "--skip-existing",
        is_flag=True,
        help="if the same job, of the same name, is in the queue or has succeeded there, print its "
        "id and submit nothing",
    ),
    option(
        "--follow",
        is_flag=True,
        help="show the job's log until the job ends, and exit with its exit code",
    ),
)

queue_options = option_group(
    "Jobs",
    _job_queue,
    _stack,
    _compute,
    option(
        "--status",
        type=click.Choice(STATUSES, case_sensitive=False),
        multiple=True,
        metavar="STATUS",
        help=f"only jobs in this state; repeatable: {', '.join(STATUSES)}",
    ),
    option(
        "--since",
        type=duration(),
        default="1d",
        show_default=True,
        help="only jobs submitted within this time; AWS forgets jobs after seven days",
    ),
)

diagnosis_options = option_group(
    "Queue, if no job is named",
    option(
        "--queue",
        "--job-queue",
        "queue",
        envvar=f"{PREFIX}JOB_QUEUE",
        metavar="NAME",
        help=f"name or ARN; default: the stack's  [variable: {PREFIX}JOB_QUEUE]",
    ),
    _stack,
)

_session_options = option_group(
    "AWS account",
    # botocore reads the variables of both, by its own precedence
    option("--profile", help="profile of ~/.aws  [variable: AWS_PROFILE]"),
    option(
        "--region",
        help="default: the profile's, or AWS_REGION_NAME  [variables: AWS_REGION, "
        "AWS_DEFAULT_REGION]",
    ),
    option(
        "--env-file",
        type=click.Path(exists=True, dir_okay=False),
        callback=lambda _context, _parameter, path: read_env_file(path),
        is_eager=True,
        metavar="FILE",
        help=f"file with variables, which the environment overrides  [default: {ENV_FILE}]",
    ),
)


def session_options(command: Callable[..., Any], max_attempts: int = 10) -> Callable[..., Any]:
    """Add the options of the AWS account to a command, which gets its `session`."""

    @wraps(command)
    def with_session(
        profile: str | None, region: str | None, env_file: Mapping[str, str], **values: Any
    ) -> Any:
        context = click.get_current_context()
        check_variables(context)
        region = context.params["region"] = region or context.meta.get(JOB_REGION)
        payer = dict(values.get("env", ())).get("AWS_REQUESTER_PAYS")
        session = open_session(env_file, profile, region, max_attempts, payer)
        return command(session=session, **drop_weaker_names(context, values))

    return _session_options(with_session)


#: for calls that a server may lack: its error would otherwise be retried for minutes
impatient_session_options = partial(session_options, max_attempts=3)

json_option = option_group(
    "Output", option("--json", "as_json", is_flag=True, help="print JSON on standard output")
)

poll_option = option_group("Output", poll_interval_option(10.0))
