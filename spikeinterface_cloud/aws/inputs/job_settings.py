"""From options, environment and `.env` to the settings of one job, checked as in the container.

Options override the environment, which overrides the file. SettingsError has a line per problem.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from spikeinterface_cloud.aws.cli.options import FROM_FILE, VARIABLES, option_name
from spikeinterface_cloud.aws.cli.values import SubmitOptions
from spikeinterface_cloud.aws.inputs.s3_urls import as_s3_url
from spikeinterface_cloud.aws.inputs.secrets import check_no_secret, is_secret
from spikeinterface_cloud.config.catalog.snapshot import find_unknown_names
from spikeinterface_cloud.config.conflicts import NO_SOURCE, SYNONYMS, merge_environments
from spikeinterface_cloud.config.locations import (
    LocalFolder,
    is_of_dandi,
    locations_of,
    object_location,
    parse_s3,
)
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


def resolve_settings(options: SubmitOptions, environ: Mapping[str, str]) -> JobSettings:
    """Return the settings of the job; SettingsError names the options or file to change."""
    variables = job_variables(options, environ)
    try:
        return validate(variables)
    except SettingsError as error:
        lines = [
            f"{_name_option(line)}{_file_hint(line, variables, options)}"
            for line in str(error).splitlines()
        ]
        raise SettingsError("\n".join(lines)) from error


def _name_option(line: str) -> str:
    """Name the option in place of a missing variable."""
    if line == NO_SOURCE:
        return MISSING_SOURCE
    for parameter, variable in VARIABLES.items():
        if line.startswith(f"{variable}: missing"):
            return f"{option_name(parameter)}{line.removeprefix(variable)}"
    return line


def _file_hint(line: str, variables: Mapping[str, str], options: SubmitOptions) -> str:
    """Add that the value came from the file."""
    match = NAME_AT_START.match(line)
    name = match[0] if match else ""
    in_file = name in options.env_file and variables.get(name) == options.env_file[name]
    return f" ({FROM_FILE})" if in_file else ""


def job_variables(options: SubmitOptions, environ: Mapping[str, str]) -> dict[str, str]:
    """Merge the variables of the options, the environment and the file."""
    weaker = environment_variables(environ, options.env_file)
    return merge_environments(weaker, _option_variables(options))


def environment_variables(
    environ: Mapping[str, str], env_file: Mapping[str, str]
) -> dict[str, str]:
    """Merge the variables of the environment, which has taken up the file, and of the file."""
    environment = {name: text for name, text in environ.items() if name not in env_file}
    return merge_environments(forwarded_variables(env_file), forwarded_variables(environment))


def validate(variables: Mapping[str, str]) -> JobSettings:
    """Return the settings that these variables give, if a machine of AWS can do such a job."""
    check_no_secret(variables)
    settings = JobSettings.from_env(variables)
    if problems := [*find_unknown_names(settings), *_unreachable(settings)]:
        raise SettingsError("\n".join(problems))
    return settings


def _option_variables(options: SubmitOptions) -> dict[str, str]:
    """Return the variables that options set; `--env` is as strong as the variable's own option."""
    variables: dict[str, str] = {
        variable: "true" if getattr(options, parameter) is True else getattr(options, parameter)
        for parameter, variable in VARIABLES.items()
        if getattr(options, parameter)
    }
    if options.source:
        variables |= joined_variables(options.source)
    if options.target:
        variables |= target_variables(options.target)
    known = [*variable_names(), *SYNONYMS]
    for name, text in options.env:
        if name in variables and variables[name] != text:
            raise SettingsError(f"--env {name}: also given by its own option; give it once")
        if name not in known and not is_secret(name):
            raise SettingsError(
                f"--env {name}: not a variable of the job{nearest(name, known)}; "
                "docs/reference/settings.md lists them, and the job definition takes any other"
            )
        variables[name] = text
    return variables


def joined_variables(urls: Sequence[str]) -> dict[str, str]:
    """Return the variables of one source, or of several recordings that are joined.

    >>> joined_variables(["s3://lab-data/raw/run1", "s3://lab-data/raw/run2"])
    {'AWS_S3_BUCKET': 'lab-data', 'AWS_S3_BUCKET_FOLDER': '["raw/run1", "raw/run2"]'}
    """
    each = [source_variables(url) for url in urls]
    if len(each) == 1:
        return each[0]
    name = "AWS_S3_BUCKET_FOLDER" if "AWS_S3_BUCKET" in each[0] else "DANDISET_S3_FILE_URL"
    places = {variables.get("AWS_S3_BUCKET", "DANDI") for variables in each}
    if len(places) > 1:
        raise SettingsError(
            f"--source: recordings that are joined are in one bucket, or all on DANDI, and these "
            f"are in {' and '.join(sorted(places))}; copy them to one (`aws s3 cp --recursive`)"
        )
    if any(name not in variables for variables in each):
        raise SettingsError("--source: a whole bucket cannot be joined; name folders in it")
    return each[0] | {name: json.dumps([variables[name] for variables in each])}


def source_variables(url: str, option: str = "--source") -> dict[str, str]:
    """Return the variables of a source.

    >>> source_variables("s3://lab-data/raw/session1")
    {'AWS_S3_BUCKET': 'lab-data', 'AWS_S3_BUCKET_FOLDER': 'raw/session1'}
    >>> source_variables("dandi://dandi/000006@draft/sub-1/a.nwb")
    {'DANDISET_S3_FILE_URL': 'dandi://dandi/000006@draft/sub-1/a.nwb'}
    """
    url = as_s3_url(option, url)
    if url.startswith(("dandi://", "https://", "http://", "DANDI:")):
        return {"DANDISET_S3_FILE_URL": url}
    if not url.startswith("s3://"):
        raise SettingsError(
            f"{option}: {url!r} is not on S3 or DANDI, and a job on AWS cannot read folders of "
            f"this machine; copy it (`aws s3 cp --recursive {url} s3://bucket/folder`) and give "
            "s3://bucket/folder, or sort it here with `python run_script.py`"
        )
    if (location := object_location(url)) is not None and is_of_dandi(location):
        return {"DANDISET_S3_FILE_URL": url}
    return _s3_variables(option, url, "AWS_S3_BUCKET")


def target_variables(url: str) -> dict[str, str]:
    """Return the variables of a target.

    >>> target_variables("s3://lab-results/session1/")
    {'TARGET_AWS_S3_BUCKET': 'lab-results', 'TARGET_AWS_S3_BUCKET_FOLDER': 'session1'}
    """
    url = as_s3_url("--target", url)
    if not url.startswith("s3://"):
        raise SettingsError(
            f"--target: {url!r} is not on S3, and the job's machine is deleted with its files; "
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


#: for jobs on this machine, whose results would be deleted with the machine of a job on AWS
FOLDERS_HERE = ("RESULTS_FOLDER", "SCRATCH_FOLDER")


def forwarded_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the job gets.

    These are no secrets, none of AWS's own tools, and no folders of this machine.
    """
    known = frozenset(variable_names())
    return {
        name: text
        for name, text in environ.items()
        if text.strip()
        and not is_secret(name)
        and name not in FOLDERS_HERE
        and (name in known or not name.startswith("AWS_"))
    }


def forwarding_warnings(settings: JobSettings, environ: Mapping[str, str]) -> Iterator[str]:
    """Warn of variables that stay here though the job may need them, or go there in vain."""
    if environ.get("DANDI_API_KEY") and settings.dandiset_s3_file_url:
        yield (
            "DANDI_API_KEY is not sent to the job; for an embargoed dandiset, store it in AWS "
            "Secrets Manager and name its ARN under `secrets` of the job definition"
        )
    yield from endpoint_warnings(settings.to_env())


def endpoint_warnings(variables: Mapping[str, str]) -> Iterator[str]:
    """Warn of servers on this machine, which a job cannot reach."""
    for name in ENDPOINTS:
        url = variables.get(name, "").strip()
        host = urlsplit(url).hostname or ""
        if host in THIS_MACHINE or host.startswith("127."):
            yield (
                f"{name}={url} is sent to the job but names this machine, which a job on AWS "
                "cannot reach; unset it, or name a server that the job can reach"
            )


def _unreachable(settings: JobSettings) -> Iterator[str]:
    is_local = any(isinstance(each, LocalFolder) for each in locations_of(settings.source))
    if settings.manifest_url is None and is_local:
        yield (
            f"SOURCE_FOLDER: a job on AWS cannot read {settings.source} of this machine; "
            "copy it to S3 and give --source s3://bucket/folder"
        )
    if settings.target is None and not settings.results_folder and not settings.target_dandiset:
        yield (
            "--target: missing, and the job's machine is deleted with its files; "
            "give s3://bucket/folder"
        )
