"""Misspelled names of variables."""

import difflib
import re
from collections.abc import Iterable
from functools import cache

#: what AWS, boto3, Batch and DANDI's client call their own variables: near to ours, and never a
#: misspelling of them
FOREIGN_NAMES = frozenset(
    {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE"}
    | {"DANDI_INSTANCE", "DANDI_INSTANCEHOST", "DANDI_SANDBOX_API_KEY"}
)

#: what such names begin with, where there is one for each service, or many
FOREIGN_BEGINNINGS = ("AWS_BATCH_", "AWS_CONTAINER_", "AWS_ENDPOINT_URL_", "ECS_")

#: names that no other program uses, with the variable; the first match counts
ALIASES = {
    re.compile(pattern): variable
    for pattern, variable in {
        r"SORTERS?_?(KW|ARG|PARAM).*": "SORTERS_KWARGS",
        r"SORTER.*": "SORTERS",
        r"PREPROCESS(?!OR).*": "PREPROCESSING",
        r"EXPORTS?(_(FORMATS?|TO))?": "EXPORTS",
        r"DANDISET_.*": "DANDISET_S3_FILE_URL",
        r"(READ|RECORDING)_(.*_)?(KWARGS|ARGS|PARAMS|PARAMETERS)": "READ_RECORDING_KWARGS",
        r"TARGET_(.*_)?DANDI(_.*|SET.*)?": "TARGET_DANDISET",
        r"TARGET_(.*_)?(BUCKET|S3)(_NAME)?": "TARGET_AWS_S3_BUCKET",
        r"TARGET_(.*_)?FOLDER|TARGET_(S3_)?(DIR|PATH|PREFIX|URI|URL)": (
            "TARGET_AWS_S3_BUCKET_FOLDER"
        ),
    }.items()
}

#: the last parts of our names that other programs have for names of their own
COMMON_ENDS = frozenset({"ACCESS_KEY", "API_KEY", "FILE_URL", "KEY_ID", "S3_BUCKET"})


def find_misspelled(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return the names that nearly match a known one, each with that one.

    >>> find_misspelled(["n_jobs", "REGION_NAME", "HOME"], ["N_JOBS", "AWS_REGION_NAME"])
    {'n_jobs': 'N_JOBS', 'REGION_NAME': 'AWS_REGION_NAME'}
    """
    known = frozenset(known)
    meant = {name: _meant(name, known) for name in names}
    return {name: nearest_name for name, nearest_name in meant.items() if nearest_name}


@cache  # one environment is read for each of ten thousand recordings
def _meant(name: str, known: frozenset[str]) -> str | None:
    capitals = name.upper()
    if name in known or capitals in FOREIGN_NAMES or capitals.startswith(FOREIGN_BEGINNINGS):
        return None
    if matches := difflib.get_close_matches(capitals, sorted(known), n=1, cutoff=0.85):
        return matches[0]
    return _whole_name(capitals, known) or _by_its_words(capitals, known)


def _whole_name(end: str, known: frozenset[str]) -> str | None:
    """Return the known name that ends with `end`."""
    if "_" not in end or end in COMMON_ENDS:
        return None
    whole = [name for name in known if name.endswith(f"_{end}")]
    return min(whole, key=lambda name: (len(name), name)) if whole else None


def _by_its_words(name: str, known: frozenset[str]) -> str | None:
    fitting = (variable for pattern, variable in ALIASES.items() if pattern.fullmatch(name))
    variable = next(fitting, None)
    return variable if variable in known else None
