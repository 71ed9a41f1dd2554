"""How the texts of variables came.

Some hold bytes that are no text, or quotes and white space that the reader of a file kept.
"""

import json
from collections.abc import Collection, Iterator, Mapping

from spikeinterface_cloud.config.locations import mask_signatures
from spikeinterface_cloud.config.sources import texts_of

#: a name that the user is free to write in any way
FREE = frozenset({"RUN_IDENTIFIER"})

#: names of folders, files and buckets, which white space at an end would be part of
PLACES = frozenset(
    {"AWS_S3_BUCKET", "AWS_S3_BUCKET_FOLDER", "SOURCE_FOLDER", "PROBE_FILE", "SCRATCH_FOLDER"}
    | {"TARGET_AWS_S3_BUCKET", "TARGET_AWS_S3_BUCKET_FOLDER", "RESULTS_FOLDER"}
)


def unquote(given: Mapping[str, str]) -> dict[str, str]:
    """Return the texts without surrounding quotes and undecodable bytes, places without spaces.

    >>> unquote({"SORTERS": '"simple"', "N_JOBS": "''", "RESULTS_FOLDER": "/results "})
    {'SORTERS': 'simple', 'RESULTS_FOLDER': '/results'}
    """
    meant = {name: _without_quotes(name, _legible(text)) for name, text in given.items()}
    meant |= {name: text.strip() for name, text in meant.items() if name in PLACES}
    return {name: text for name, text in meant.items() if text.strip()}


def find_text_problems(given: Mapping[str, str], secrets: Collection[str] = ()) -> Iterator[str]:
    """Yield a line for each text that is not as it was meant, without showing secrets."""
    for name, text in given.items():
        if _legible(text) != text:
            yield f"{name}: is not UTF-8 text; write it in UTF-8, or with plain letters"
        elif (meant := _without_quotes(name, text)) != text:
            is_shown = name not in secrets and "\n" not in meant
            shown = f"; write {name}={mask_signatures(meant)}" if is_shown else ""
            yield (
                f"{name}: has quotes around it that are part of its value, as docker's --env-file "
                f"keeps them; leave out the outer quotes{shown}"
            )
        elif name in PLACES:
            for place in texts_of(text):
                if place != place.strip():
                    yield (
                        f"{name}: {place!r} has white space at an end, which would be part of the "
                        f"name; write {place.strip()}"
                    )


def _legible(text: str) -> str:
    """Replace NUL and each byte that Python could not decode by a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")


def _without_quotes(name: str, text: str) -> str:
    whole = text.strip()
    if name in FREE or len(whole) < 2 or whole[0] != whole[-1] or whole[0] not in "\"'":
        return text
    inner = _unescaped(whole)
    if inner.lstrip().startswith(("{", "[")):
        return inner
    return inner.replace(whole[0], "")  # each of several names has its own quotes


def _unescaped(whole: str) -> str:
    """Return the text between the quotes; a JSON string is decoded."""
    try:
        held = json.loads(whole)
    except (ValueError, RecursionError):
        held = None
    return held if isinstance(held, str) and _legible(held) == held else whole[1:-1]
