"""What runs a program when it is read without care: a pickle, and a class that a file names."""

import subprocess
from pathlib import Path
from typing import Any

import spikeinterface as si


class Toucher:
    """Makes a file when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, tuple[list[str]]]:
        """Pickle a call that touches the witness."""
        return (subprocess.check_call, (["touch", str(self.witness)],))


def toucher_extractor(witness: Path) -> dict[str, Any]:
    """Describe an object whose class SpikeInterface's `load` would import and call."""
    return {
        "class": "subprocess.check_call",
        "module": "subprocess",
        "version": si.__version__,
        "relative_paths": False,
        "annotations": {},
        "properties": {},
        "kwargs": {"args": ["touch", str(witness)]},
    }
