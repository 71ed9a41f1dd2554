"""Python packages and programs that a reader needs besides SpikeInterface and neo."""

import shutil
from dataclasses import dataclass
from importlib.util import find_spec

from spikeinterface_cloud.errors import UnavailableError


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """What a reader needs."""

    #: the name to import
    module: str
    #: as its publisher calls it
    package: str
    #: why no image has it; empty where ours do
    reason: str = ""
    #: a program that is needed besides
    program: str | None = None


REQUIREMENTS = {
    "cbin_ibl": Requirement(module="mtscomp", package="mtscomp"),
    "edf": Requirement(module="pyedflib", package="pyedflib"),
    "ced": Requirement(
        module="sonpy", package="sonpy", reason="its publisher ships it for Windows alone"
    ),
    "nix": Requirement(
        module="nixio", package="nixio", reason="its publisher ships it as source alone"
    ),
    "mearec": Requirement(
        module="MEArec", package="MEArec", reason="it brings a simulator and its packages"
    ),
    "plexon2": Requirement(
        module="zugbruecke",
        package="zugbruecke",
        reason="it runs Plexon's library for Windows under Wine",
        program="wine",
    ),
}


def check_packages(data_type: str) -> None:
    """Raise `UnavailableError` if the reader of `data_type` needs what is not installed here."""
    needed = REQUIREMENTS.get(data_type)
    if needed is None:
        return
    has_program = needed.program is None or shutil.which(needed.program) is not None
    if find_spec(needed.module) is not None and has_program:
        return
    besides = f" and {needed.program}" if needed.program else ""
    why = f": {needed.reason}" if needed.reason else ""
    raise UnavailableError(
        f"DATA_TYPE={data_type} needs {needed.package}{besides}, which this image does not have"
        f"{why}; where the file can be read, convert it to NWB (neuroconv) or save it with "
        "SpikeInterface (recording.save(folder=...)), and set DATA_TYPE=nwb or binary"
    )
