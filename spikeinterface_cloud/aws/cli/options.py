"""The options of every command, with the variable that each of them sets or is read from."""

from __future__ import annotations

import os
from typing import Any

import click

from spikeinterface_cloud.aws.cli.click_sections import (
    Declared,
    Duration,
    Memory,
    Pair,
    interval_option,
    option_group,
)

#: the option that sets a variable of the job, by its parameter
VARIABLES = {
    "data_type": "DATA_TYPE",
    "read_recording_kwargs": "READ_RECORDING_KWARGS",
    "sorters": "SORTERS",
    "sorters_kwargs": "SORTERS_KWARGS",
    "preprocessing": "PREPROCESSING",
    "exports": "EXPORTS",
}

ENV_FILE = ".env"

#: what is said of a value that neither an option nor the environment gave
FROM_FILE = f"as {ENV_FILE}, or the --env-file, says"

#: what the variables of the submission's own options begin with
PREFIX = "SPIKEINTERFACE_CLOUD_"

#: the states of a job, in order
STATUSES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")


def load_env_file(
    _context: click.Context, _parameter: click.Parameter, path: str | None
) -> dict[str, str]:
    """Give this process what the file says and its environment does not, and return just that.

    It happens before the other options are read, some of which are variables as well.
    """
    from pathlib import Path  # not for `--help`

    if path is None and not Path(ENV_FILE).is_file():
        return {}
    # most folders have no such file
    from spikeinterface_cloud.config.dotenv import env_file_values

    said = env_file_values(Path(path or ENV_FILE))
    new = {name: text for name, text in said.items() if text and not os.environ.get(name)}
    os.environ.update(new)
    return new


def check_submit_variables(context: click.Context) -> None:
    """Refuse a variable that is almost, but not quite, one of an option's; click.UsageError (2).

    One that is like none of them may be another program's.
    """
    from spikeinterface_cloud.config.typos import misspelt  # not for `--help`

    known = [option.envvar for option in context.command.params if isinstance(option.envvar, str)]
    given = [name for name in os.environ if name.startswith(PREFIX) and os.environ[name].strip()]
    for name, meant in sorted(misspelt(given, known).items()):
        place = f" ({FROM_FILE})" if name in context.params["env_file"] else ""
        raise click.UsageError(f"{name}: no variable of this command; did you mean {meant}?{place}")


#: the machines that a stack has queues for
COMPUTE = ("spot", "on-demand", "cpu")


def _variable(name: str, help_text: str) -> Declared:
    """An option that sets the variable of its own name."""
    variable = VARIABLES[name.removeprefix("--").replace("-", "_")]
    return Declared(name, metavar="TEXT", help=f"{help_text}  [variable: {variable}]")


def _default(name: str, help_text: str, **given: Any) -> Declared:
    """An option whose default a variable `SPIKEINTERFACE_CLOUD_...` may give."""
    variable = f"{PREFIX}{name.removeprefix('--').replace('-', '_').upper()}"
    return Declared(name, envvar=variable, help=f"{help_text}  [variable: {variable}]", **given)


_machines = _default(
    "--compute",
    "which of the stack's queues: GPUs on spot (default) or on-demand, or cpu",
    type=click.Choice(COMPUTE),
    default=COMPUTE[0],
    metavar="COMPUTE",
)

recording_options = option_group(
    "Recording and sorting",
    Declared(
        "--source",
        metavar="URL",
        help="where the recording is: s3://bucket/folder, dandi://dandi/000006@draft/a.nwb, "
        "or the https:// URL of a DANDI asset  [variables: AWS_S3_BUCKET, AWS_S3_BUCKET_FOLDER, "
        "DANDISET_S3_FILE_URL]",
    ),
    Declared(
        "--target",
        metavar="URL",
        help="where the results go: s3://bucket/folder  [variables: TARGET_AWS_S3_BUCKET, "
        "TARGET_AWS_S3_BUCKET_FOLDER]",
    ),
    _variable("--data-type", "the SpikeInterface reader: spikeglx, openephys, nwb, ..."),
    _variable("--read-recording-kwargs", "JSON, passed to that reader"),
    _variable("--sorters", "the sorters, in order: comma-separated names, or a JSON list"),
    _variable("--sorters-kwargs", "JSON, parameters by sorter name"),
    _variable("--preprocessing", "default, none, or JSON of a SpikeInterface pipeline"),
    _variable("--exports", "any of nwb, phy"),
    Declared(
        "--env",
        type=Pair(),
        multiple=True,
        help="any other variable of the job (README), as often as needed",
    ),
)

job_options = option_group(
    "Job on AWS Batch",
    _default("--job-queue", "name or ARN; by default the stack's", metavar="NAME"),
    _default("--job-definition", "name, name:revision or ARN; the stack's", metavar="NAME"),
    _default(
        "--stack",
        "CloudFormation stack (submit_job.py infra up) whose queue and definition are taken",
        metavar="NAME",
    ),
    _machines,
    _default(
        "--job-name",
        "what the job's name begins with; a hash of the job follows",
        metavar="NAME",
    ),
    _default("--gpus", "instead of the job definition's", type=click.IntRange(1), metavar="N"),
    _default("--vcpus", "instead of the job definition's", type=click.IntRange(1), metavar="N"),
    _default(
        "--memory",
        "instead of the job definition's: MiB, or like 30GiB",
        type=Memory(),
        metavar="SIZE",
    ),
    _default(
        "--timeout",
        "longest time of an attempt: seconds, or like 90m, 12h, 2d; at least a minute",
        type=Duration(minimum_s=60),
    ),
    _default(
        "--attempts",
        "1 to 10 (default 3): a job whose machine is taken back is started again, one with bad "
        "input never",
        type=click.IntRange(1, 10),
        default=3,
        metavar="N",
    ),
    Declared("--tag", type=Pair(), multiple=True, help="tag of the job, as often as needed"),
    _default(
        "--share-identifier",
        "whose share the job counts in, on a fair-share queue",
        metavar="NAME",
    ),
    _default(
        "--priority",
        "within that share, 0 to 9999; the highest goes first",
        type=click.IntRange(0, 9999),
        metavar="N",
    ),
    Declared(
        "--depends-on",
        multiple=True,
        metavar="JOB_ID",
        help="job that has to succeed first, as often as needed",
    ),
)

list_of_recordings_options = option_group(
    "Many recordings, each to a folder of its own below the target",
    Declared(
        "--dandiset",
        metavar="NAME",
        help="every NWB file of a dandiset: 000003, 000003@0.230629.1955, "
        "dandi://dandi-sandbox/000003@draft",
    ),
    Declared("--glob", metavar="PATTERN", help="of those, like 'sub-*/*_ecephys.nwb'"),
    Declared("--source-prefix", metavar="URL", help="every folder below s3://bucket/raw/"),
    Declared(
        "--match",
        metavar="PATTERN",
        help="of those, '*/' or like 'mouse*/*_g0/'; objects: '*.nwb'",
    ),
    Declared(
        "--csv",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="every row, a column a variable of the job",
    ),
    Declared(
        "--skip-completed",
        is_flag=True,
        help="leave out those whose target has the run.json of a success",
    ),
    Declared("--yes", is_flag=True, help="do not ask before they are submitted"),
)

submission_options = option_group(
    "Submission",
    Declared("--dry-run", is_flag=True, help="print the request and send nothing"),
    Declared(
        "--skip-existing",
        is_flag=True,
        help="where the same job is under way or has succeeded, give its id and submit nothing",
    ),
    Declared(
        "--follow",
        is_flag=True,
        help="show the job's log, wait for its end, and exit with its exit code",
    ),
)

queue_options = option_group(
    "Jobs",
    _default("--job-queue", "name or ARN; by default the stack's", metavar="NAME"),
    _default("--stack", "CloudFormation stack whose queue is taken", metavar="NAME"),
    _machines,
    Declared(
        "--status",
        type=click.Choice(STATUSES, case_sensitive=False),
        multiple=True,
        metavar="STATUS",
        help=f"of this state only: {', '.join(STATUSES)}",
    ),
    Declared(
        "--since",
        type=Duration(),
        default="1d",
        show_default=True,
        help="submitted in this time before now; AWS forgets jobs after seven days",
    ),
)

diagnosis_options = option_group(
    "What is looked at, where no job is named",
    Declared(
        "--queue",
        "--job-queue",
        "queue",
        envvar=f"{PREFIX}JOB_QUEUE",
        metavar="NAME",
        help=f"name or ARN; by default the stack's  [variable: {PREFIX}JOB_QUEUE]",
    ),
    _default("--stack", "CloudFormation stack whose output JobQueue is taken", metavar="NAME"),
)

session_options = option_group(
    "AWS account",
    Declared("--profile", envvar="AWS_PROFILE", help="profile of ~/.aws  [variable: AWS_PROFILE]"),
    Declared(
        "--region",
        envvar=["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"],
        help="by default the profile's  [variables: AWS_REGION, AWS_DEFAULT_REGION, "
        "AWS_REGION_NAME]",
    ),
    Declared(
        "--env-file",
        type=click.Path(exists=True, dir_okay=False),
        callback=load_env_file,
        is_eager=True,
        metavar="FILE",
        help=f"variables that the environment does not have  [default: {ENV_FILE}, if any]",
    ),
)

json_option = option_group(
    "Output", Declared("--json", "as_json", is_flag=True, help="JSON on standard output")
)

poll_option = option_group("Output", interval_option(10.0, "how often AWS is asked"))
