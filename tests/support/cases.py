"""Inputs made after public bug reports: each program in tests/cases writes one, and its truth."""

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CASES = Path(__file__).parents[1] / "cases"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """An input that was written."""

    #: of the job that sorts it
    variables: Mapping[str, str]
    truth: dict[str, Any]


def write_case(folder: Path, name: str, *arguments: str) -> Case:
    """Run the program of a case: its variables, and its truth."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, str(CASES / f"{name}.py"), str(folder / "data"), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    variables = dict(word.split("=", 1) for word in shlex.split(done.stdout.splitlines()[-1]))
    return Case(variables=variables, truth=json.loads((folder / "truth.json").read_text()))
