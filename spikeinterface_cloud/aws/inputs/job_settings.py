"""From options, environment and `.env` to the settings of one job, checked as the container does.

The stronger layer comes first: flags, then the environment, then the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from spikeinterface_cloud.aws.cli.options import FROM_FILE, VARIABLES
from spikeinterface_cloud.aws.inputs.secrets import check_no_secret, is_secret
from spikeinterface_cloud.config.catalog.snapshot import unknown_names
from spikeinterface_cloud.config.conflicts import NO_SOURCE, SYNONYMS, merge_environments
from spikeinterface_cloud.config.locations import BLOB_KEY, LocalFolder, parse_s3
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.config.settings import JobSettings, variable_names
from spikeinterface_cloud.errors import SettingsError

MISSING_SOURCE = (
    "--source: missing; give s3://bucket/folder, dandi://instance/dandiset@version/path, or the "
    "https:// URL of a DANDI asset"
)

#: the variable that a line of an error is about
NAME_AT_START = re.compile(r"[A-Z][A-Z0-9_]*(?=[:= ])")

ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
THIS_MACHINE = ("localhost", "::1")


def settings_of(given: Mapping[str, Any], environ: Mapping[str, str]) -> JobSettings:
    """The settings of the job that the options, by parameter, and the environment ask for.

    Raises
    ------
    SettingsError
        with every problem at once, a line each.
    """
    variables = job_variables(given, environ)
    try:
        return checked(variables)
    except SettingsError as error:
        lines = [_as_typed(line) for line in str(error).splitlines()]
        raise SettingsError("\n".join(lines_from_file(lines, variables, given))) from error


def lines_from_file(
    lines: Iterable[str], variables: Mapping[str, str], given: Mapping[str, Any]
) -> Iterator[str]:
    """The lines of an error; where the value of a variable came from the file, they say so."""
    for line in lines:
        name = NAME_AT_START.match(line)
        said = given["env_file"].get(name[0]) if name else None
        is_of_file = name is not None and said is not None and variables.get(name[0]) == said
        yield f"{line} ({FROM_FILE})" if is_of_file else line


def _as_typed(line: str) -> str:
    """What is missing, by the option that would give it."""
    if line == NO_SOURCE:
        return MISSING_SOURCE
    for parameter, variable in VARIABLES.items():
        if line.startswith(f"{variable}: missing"):
            return f"--{parameter.replace('_', '-')}{line.removeprefix(variable)}"
    return line


def job_variables(given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the job, from the strongest layer that names each."""
    env_file = given["env_file"]  # which the environment has taken up already
    environment = {name: text for name, text in environ.items() if name not in env_file}
    weaker = merge_environments(forwarded_variables(env_file), forwarded_variables(environment))
    return merge_environments(weaker, flags_of(given))


def checked(variables: Mapping[str, str]) -> JobSettings:
    """The settings that these variables give, when a machine of AWS can run them.

    Raises
    ------
    SettingsError
        with every problem at once, a line each.
    """
    check_no_secret(variables)
    settings = JobSettings.from_env(variables)
    problems = [*unknown_names(settings), *_out_of_reach(settings)]
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def flags_of(given: Mapping[str, Any]) -> dict[str, str]:
    """The variables that options set; `--env` is as strong as the option of the same variable."""
    variables = {
        variable: given[parameter]
        for parameter, variable in VARIABLES.items()
        if given.get(parameter)
    }
    if given.get("source"):
        variables |= source_variables(given["source"])
    if given.get("target"):
        variables |= target_variables(given["target"])
    known = [*variable_names(), *SYNONYMS]
    for name, text in given.get("env", ()):
        if name in variables and variables[name] != text:
            raise SettingsError(f"--env {name}: also given by its own option; give it once")
        if name not in known and not is_secret(name):
            raise SettingsError(
                f"--env {name}: not a variable of the job{nearest(name, known)}; the README lists "
                "them, and the job definition takes any other"
            )
        variables[name] = text
    return variables


def source_variables(url: str) -> dict[str, str]:
    """The variables of a source.

    >>> source_variables("s3://lab-data/raw/session1")
    {'AWS_S3_BUCKET': 'lab-data', 'AWS_S3_BUCKET_FOLDER': 'raw/session1'}
    >>> source_variables("dandi://dandi/000006@draft/sub-1/a.nwb")
    {'DANDISET_S3_FILE_URL': 'dandi://dandi/000006@draft/sub-1/a.nwb'}
    """
    if url.startswith(("dandi://", "https://", "http://", "DANDI:")):
        return {"DANDISET_S3_FILE_URL": url}
    if not url.startswith("s3://"):
        raise SettingsError(
            f"--source: {url!r} is not on S3 or DANDI, and a job on AWS sees no folder of this "
            f"machine; copy it there (`aws s3 cp --recursive {url} s3://bucket/folder`) and give "
            "s3://bucket/folder, or sort it here with `python run_script.py`"
        )
    if BLOB_KEY.fullmatch(url.removeprefix("s3://").partition("/")[2]):
        return {"DANDISET_S3_FILE_URL": url}
    return _s3_variables("--source", url, "AWS_S3_BUCKET")


def target_variables(url: str) -> dict[str, str]:
    """The variables of a target.

    >>> target_variables("s3://lab-results/session1/")
    {'TARGET_AWS_S3_BUCKET': 'lab-results', 'TARGET_AWS_S3_BUCKET_FOLDER': 'session1'}
    """
    if not url.startswith("s3://"):
        raise SettingsError(
            f"--target: {url!r} is not on S3, and what a job leaves on its own machine is lost; "
            "give s3://bucket/folder"
        )
    return _s3_variables("--target", url, "TARGET_AWS_S3_BUCKET")


def _s3_variables(option: str, url: str, bucket: str) -> dict[str, str]:
    try:
        location = parse_s3(url, None)
    except ValueError as error:
        raise SettingsError(f"{option}: {error}") from error
    folder = {f"{bucket}_FOLDER": location.key} if location.key else {}
    return {bucket: location.bucket, **folder}


def forwarded_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What of an environment concerns the job: no secret, and nothing of AWS's own tools."""
    known = frozenset(variable_names())
    return {
        name: text
        for name, text in environ.items()
        if text.strip() and not is_secret(name) and (name in known or not name.startswith("AWS_"))
    }


def left_behind(settings: JobSettings, environ: Mapping[str, str]) -> Iterator[str]:
    """What the user may think travels with the job, and does not."""
    if environ.get("DANDI_API_KEY") and settings.dandiset_s3_file_url:
        yield (
            "DANDI_API_KEY stays on this machine; for an embargoed dandiset, store it in AWS "
            "Secrets Manager and name its ARN under `secrets` of the job definition"
        )


def local_endpoints(variables: Mapping[str, str]) -> Iterator[str]:
    """The servers of this machine that a job is told to use, and would look for on its own."""
    for name in ENDPOINTS:
        url = variables.get(name, "").strip()
        host = urlsplit(url).hostname or ""
        if host in THIS_MACHINE or host.startswith("127."):
            yield (
                f"{name}={url} goes into the job's environment, and is this machine's own: a job "
                "on AWS finds no server there; unset it, or name one that the job can reach"
            )


def _out_of_reach(settings: JobSettings) -> Iterator[str]:
    """What a machine of AWS cannot do, though this one could."""
    if settings.manifest_url is None and isinstance(settings.source, LocalFolder):
        yield (
            f"SOURCE_FOLDER: a job on AWS sees no folder of this machine, so not {settings.source};"
            " copy it to S3 and give --source s3://bucket/folder"
        )
    if settings.target is None and not settings.results_folder and not settings.target_dandiset:
        yield (
            "--target: missing, and what a job leaves on its own machine is lost; "
            "give s3://bucket/folder"
        )
