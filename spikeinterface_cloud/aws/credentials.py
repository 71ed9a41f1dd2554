"""The user's credentials, found once and before the first call.

botocore reports a broken profile by whatever error its own code runs into; here it is one line.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from getpass import GetPassWarning
from pathlib import Path
from typing import Any

from botocore.session import Session
from botocore.utils import JSONFileCache

from spikeinterface_cloud.aws_errors import AwsError, one_line

#: where the AWS command line keeps the credentials of roles, which save a code of MFA
ROLE_CACHE = Path("~/.aws/cli/cache")

#: the providers whose credentials the AWS command line keeps
CACHED = ("assume-role", "assume-role-with-web-identity", "sso")

#: the settings of a profile that name a program or a file
NAMED = ("credential_process", "web_identity_token_file")


class RoleCache(JSONFileCache):
    """The cache of the AWS command line; a home that cannot be written is no error.

    Nor is a file that another command is just writing: it counts as none.
    """

    def __contains__(self, key: Any) -> bool:
        with suppress(KeyError, TypeError):
            return "Expiration" in self[key]["Credentials"]
        return False

    def __setitem__(self, key: str, value: Any) -> None:
        with suppress(OSError):
            super().__setitem__(key, value)


def load_credentials(session: Session) -> None:
    """Let the session find its credentials, or find that there are none.

    Raises AwsError for a broken profile, and botocore's errors as they are.
    """
    providers = session.get_component("credential_provider")
    cache = RoleCache(str(ROLE_CACHE.expanduser()))
    for name in CACHED:
        with suppress(ValueError):  # a chain without this provider
            providers.get_provider(name).cache = cache
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GetPassWarning)  # the error below says it
            if credentials := session.get_credentials():
                credentials.get_frozen_credentials()
    except EOFError as error:
        raise AwsError(
            f"{_profile(session)} asks for an MFA code, and there is no terminal to ask on; "
            "run a command on a terminal first, which is good for an hour"
        ) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:  # JSON of another kind too
        named = session.get_scoped_config()
        culprits = [f"{name} = {named[name]}" for name in NAMED if named.get(name)]
        raise AwsError(
            f"{_profile(session)} gives no credentials: {one_line(error)}; "
            f"check {' and '.join(culprits) or 'its lines'} in ~/.aws/config"
        ) from error


def _profile(session: Session) -> str:
    return f"the profile {session.profile or 'default'}"
