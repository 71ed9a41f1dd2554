"""Python packages and programs that readers need besides SpikeInterface and neo."""

import shutil
from dataclasses import dataclass
from importlib.util import find_spec

from spikeinterface_cloud.errors import UnavailableError


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """A package that a reader needs."""

    #: the name to import
    module: str
    #: the name of its distribution
    package: str
    #: why no image has it; empty where ours do
    reason: str = ""
    #: a program that is needed too
    program: str | None = None


REQUIREMENTS = {
    "cbin_ibl": Requirement(module="mtscomp", package="mtscomp"),
    "edf": Requirement(module="pyedflib", package="pyedflib"),
    "ced": Requirement(module="sonpy", package="sonpy", reason="it is published for Windows only"),
    "nix": Requirement(module="nixio", package="nixio", reason="it is published as source only"),
    "mearec": Requirement(
        module="MEArec", package="MEArec", reason="it installs a simulator and its packages"
    ),
    "plexon2": Requirement(
        module="zugbruecke",
        package="zugbruecke",
        reason="it runs Plexon's Windows library under Wine",
        program="wine",
    ),
}


def check_packages(data_type: str) -> None:
    """Raise `UnavailableError` if a package or program for `data_type` is not installed here."""
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
