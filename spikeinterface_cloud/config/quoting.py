"""How the texts of variables came: bytes that are no text, and quotes that a file's reader kept."""

import json
from collections.abc import Collection, Iterator, Mapping

from spikeinterface_cloud.config.locations import mask_signatures

#: a name that the user is free to write in any way
FREE = frozenset({"RUN_IDENTIFIER"})


def unquote(given: Mapping[str, str]) -> dict[str, str]:
    """Return the texts without surrounding quotes and undecodable bytes.

    >>> unquote({"SORTERS": '"simple"', "N_JOBS": "''"})
    {'SORTERS': 'simple'}
    """
    meant = {name: _without_quotes(name, _legible(text)) for name, text in given.items()}
    return {name: text for name, text in meant.items() if text.strip()}


def find_text_problems(given: Mapping[str, str], secrets: Collection[str] = ()) -> Iterator[str]:
    """Yield a line for each text with quotes or undecodable bytes, without showing secrets."""
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
