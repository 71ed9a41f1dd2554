"""The tables that commands print."""

from __future__ import annotations

from collections.abc import Sequence


def table(
    rows: Sequence[Sequence[str]], headers: Sequence[str] = (), align: Sequence[str] = ()
) -> str:
    """Write rows as columns, by default aligned left, that are two spaces apart; without rules.

    >>> print(table([["a", "1"], ["bc", "20"]], align=["left", "right"]))
    a    1
    bc  20
    """
    from tabulate import tabulate  # takes a while to import, and `--help` prints no table

    lines = [headers, *rows] if headers else rows
    return tabulate(lines, tablefmt="plain", disable_numparse=True, colalign=align or None)
