"""Open Ephys folders that lack samples: compressed ones, and those that the Allen Institute cut.

Their names say so, before they are fetched.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from spikeinterface_cloud.errors import RecordingError, SettingsError

#: how to decompress what `continuous.dat` became
DECOMPRESS = {
    "continuous.cbin": "mtsdecomp continuous.cbin continuous.ch -o continuous.dat",
    "continuous.cdat": "mtsdecomp continuous.cdat continuous.ch -o continuous.dat",
    "continuous.dat.gz": "gunzip continuous.dat.gz",
    "continuous.dat.zst": "zstd -d continuous.dat.zst",
    "continuous.dat.xz": "unxz continuous.dat.xz",
    "continuous.dat.bz2": "bunzip2 continuous.dat.bz2",
}

#: the folders of a session of the Allen Institute: the first samples, and all of them
CLIPPED, COMPRESSED = "ecephys_clipped", "ecephys_compressed"

USE_ZARR = (
    f"the Allen Institute's recordings are the .zarr folders in {COMPRESSED}: name one of them as "
    "the source, and set DATA_TYPE=zarr"
)


def refuse_clipped_or_compressed(names: Sequence[PurePosixPath]) -> None:
    """Raise an error if neo would find fewer samples than were recorded, or none."""
    if any(not {CLIPPED, COMPRESSED}.isdisjoint(name.parts) for name in names):
        raise SettingsError(f"{CLIPPED} has only the first samples of each stream; {USE_ZARR}")
    present = set(names)
    for name in names:
        command = DECOMPRESS.get(name.name)
        if command is not None and name.with_name("continuous.dat") not in present:
            raise RecordingError(
                f"{name} is compressed, and DATA_TYPE=openephys reads continuous.dat; decompress "
                f"it, in each such folder: {command}"
            )
