"""Account and region: what the options, the environment and `.env` mean together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikeinterface_cloud.aws.session import AwsSession

ENV_FILE = ".env"

PROFILE_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")

#: the strongest first
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def read_env_file(path: str | None = None) -> dict[str, str]:
    """Add the variables of the file that the environment lacks to it, and return them.

    This happens before the other options are read, as some of them are variables too. Spaces and
    line ends around a variable of AWS are left out: no name or key has any.
    """
    from pathlib import Path  # not for `--help`

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        os.environ[name] = os.environ[name].strip()
        if not os.environ[name]:
            del os.environ[name]
    if path is None and not Path(ENV_FILE).is_file():
        return {}
    # most folders have no such file
    from spikeinterface_cloud.config.dotenv import load_env_file

    return load_env_file(Path(path or ENV_FILE))


def open_session(
    env_file: Mapping[str, str],
    profile: str | None = None,
    region: str | None = None,
    max_attempts: int = 10,
    requester_pays: str | None = None,
) -> AwsSession:
    """Return the session that the options, the environment and the file's variables mean.

    `requester_pays` is the text that `--env` gives the job; it holds for requests from here too.
    """
    from spikeinterface_cloud.aws.session import AwsSession  # not for `--help`

    region, fallback = choose_region(profile, region, env_file)
    return AwsSession(
        profile,
        region,
        fallback_region=fallback,
        max_attempts=max_attempts,
        requester_pays=_requester_pays(requester_pays),
    )


def _requester_pays(given: str | None) -> bool:
    text = given or os.environ.get("AWS_REQUESTER_PAYS")
    if not text:
        return False
    from spikeinterface_cloud.config.parsing import parse_boolean  # needs pydantic
    from spikeinterface_cloud.errors import SettingsError

    try:
        return bool(parse_boolean(text))
    except ValueError as error:
        raise SettingsError(f"AWS_REQUESTER_PAYS: {error}") from error


def choose_region(
    profile: str | None, region: str | None, env_file: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """Return the region to use, if it is certain, and one for a profile that has none.

    A profile named by a flag or the environment takes precedence over a region of the file.
    AWS_REGION_NAME is the region of the job's buckets, so that any other comes first.
    """
    buckets = os.environ.get("AWS_REGION_NAME")
    variable = next((name for name in REGION_VARIABLES if os.environ.get(name)), None)
    if region or variable is None:
        return region, buckets
    has_profile = profile or any(
        name in os.environ and name not in env_file for name in PROFILE_VARIABLES
    )
    if has_profile and variable in env_file:
        return None, os.environ[variable]
    return os.environ[variable], buckets
