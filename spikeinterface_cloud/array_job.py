"""Which job this is: the one of the environment, or that of its line in a manifest on S3."""

import logging
from collections.abc import Mapping
from typing import Any

from spikeinterface_cloud.config.conflicts import merge_environments
from spikeinterface_cloud.config.locations import S3Location, parse_s3
from spikeinterface_cloud.config.manifest import MANIFEST_URL, line_index, select_line
from spikeinterface_cloud.config.quoting import find_text_problems
from spikeinterface_cloud.config.settings import AwsSettings, JobSettings
from spikeinterface_cloud.errors import SettingsError

logger = logging.getLogger(__name__)

#: the server that may get DANDI_API_KEY, which no list may name
TRUSTED = "DANDI_INSTANCE_URL"

#: the settings that may be paths relative to where the job was started
FOLDERS = ("source_folder", "results_folder", "scratch_folder")


def read_settings(environ: Mapping[str, str]) -> JobSettings:
    """Return the settings of this job, with its folders as absolute paths."""
    settings = JobSettings.from_env(resolve_environment(environ))
    folders = {name: getattr(settings, name) for name in FOLDERS}
    return settings.model_copy(
        update={
            name: [each.absolute() for each in path] if isinstance(path, list) else path.absolute()
            for name, path in folders.items()
            if path is not None
        }
    )


def resolve_environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables of this job: those of its line in the manifest, over `environ`."""
    url = _url(environ)
    if url is None:
        return environ
    from spikeinterface_cloud.storage.session import Storage  # boto3: half a second

    data = Storage(AwsSettings.from_env(environ)).read_object(_location(url))
    line = select_line(data, environ)
    if line.get(TRUSTED, "") not in ("", environ.get(TRUSTED, "")):
        raise SettingsError(
            f"{TRUSTED}: the list of jobs names a server that is to get DANDI_API_KEY; set the "
            "variable in the environment of the job as well, if you trust that server"
        )
    logger.info("this job is line %d of %s", (line_index(environ) or 0) + 1, url)
    return merge_environments(environ, line)


def manifest_entry(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the URL of this job's manifest, and the index of its line in an array job."""
    url = _url(environ)
    return None if url is None else {"url": url, "index": line_index(environ)}


def _url(environ: Mapping[str, str]) -> str | None:
    return environ.get(MANIFEST_URL, "").strip() or None


def _location(url: str) -> S3Location:
    if problems := [*find_text_problems({MANIFEST_URL: url})]:
        raise SettingsError("\n".join(problems))
    try:
        location = parse_s3(url, None)
    except ValueError as error:
        raise SettingsError(f"{MANIFEST_URL}: {error}") from error
    if not url.startswith("s3://") or not location.key:
        raise SettingsError(
            f"{MANIFEST_URL}: {url!r} does not name an object on S3; write "
            "s3://bucket/folder/jobs.jsonl"
        )
    return location
