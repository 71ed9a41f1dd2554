"""Open Ephys folders that lack samples: compressed ones, and those that the Allen Institute cut.

What mtscomp compressed is decompressed into a copy of the folder, because neo reads the files
themselves. The names of all others say what is missing, before they are fetched.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.mtscomp_recording import (
    Index,
    check_samples,
    read_index,
)
from spikeinterface_cloud.runtime.disk import disk_errors
from spikeinterface_cloud.runtime.host import usable_cpus

logger = logging.getLogger(__name__)

SAMPLES = "continuous.dat"

#: what mtscomp makes of it, by the name it is given or by its own
MTSCOMP = ("continuous.cbin", "continuous.cdat")

#: how to decompress what other programs make of it
DECOMPRESS = {
    "continuous.dat.gz": "gunzip",
    "continuous.dat.zst": "zstd -d",
    "continuous.dat.xz": "unxz",
    "continuous.dat.bz2": "bunzip2",
}

#: the folders of a session of the Allen Institute: the first samples, and all of them
CLIPPED, COMPRESSED = "ecephys_clipped", "ecephys_compressed"

USE_ZARR = (
    f"the Allen Institute's recordings are the .zarr folders in {COMPRESSED}: name one of them as "
    "the source, and set DATA_TYPE=zarr"
)


def refuse_missing_samples(names: Sequence[PurePosixPath]) -> None:
    """Raise an error if fewer samples would be found than were recorded, or none."""
    if any(not {CLIPPED, COMPRESSED}.isdisjoint(name.parts) for name in names):
        raise SettingsError(f"{CLIPPED} has only the first samples of each stream; {USE_ZARR}")
    present = set(names)
    for name in names:
        if name.with_name(SAMPLES) in present:
            continue
        if name.name in DECOMPRESS:
            raise RecordingError(
                f"{name} is compressed, and DATA_TYPE=openephys reads {SAMPLES}; decompress it, in "
                f"each such folder: {DECOMPRESS[name.name]} {name.name}"
            )
        if name.name in MTSCOMP and name.with_suffix(".ch") not in present:
            raise RecordingError(
                f"{name} cannot be decompressed without continuous.ch; put it beside it"
            )


def decompress(source: Path, folder: Path) -> Path:
    """Return `source`, or a copy of it in `folder` where mtscomp compressed samples of Open Ephys.

    The copy links to all other files.
    """
    if not source.is_dir() or next(source.rglob("structure.oebin"), None) is None:
        return source
    compressed = [
        file
        for file in sorted(source.rglob("continuous.*"))
        if file.name in MTSCOMP and not file.with_name(SAMPLES).exists()
    ]
    if not compressed:
        return source
    copy = folder / source.name
    with disk_errors(copy):
        shutil.rmtree(copy, ignore_errors=True)  # of an earlier attempt
        for file in source.rglob("*"):
            if file.is_file():
                link = copy / file.relative_to(source)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file.absolute())
        for file in compressed:
            logger.info("decompressing %s", file.relative_to(source))
            _decompress_file(file, copy / file.relative_to(source).with_name(SAMPLES))
    return copy


def _decompress_file(file: Path, target: Path) -> None:
    import mtscomp  # an image of one's own may lack it

    index_file = file.with_suffix(".ch")
    index = read_index(index_file)
    _check_structure(file, index)
    check_samples(file, index_file, index)
    reader = mtscomp.Reader(n_threads=usable_cpus(), check_after_decompress=False, quiet=True)
    reader.open(file, index_file)
    try:
        reader.tofile(target)
    except OSError as error:
        if error.errno is not None:
            raise
        raise RecordingError(f"{file.name} is damaged: {error}; copy it again") from error
    finally:
        reader.close()


def _check_structure(file: Path, index: Index) -> None:
    """Compare the index of mtscomp with what the GUI says about the stream."""
    structure = json.loads((file.parents[2] / "structure.oebin").read_text())
    for stream in structure["continuous"]:
        if Path(stream["folder_name"]).name != file.parent.name:
            continue
        if index.n_channels != stream["num_channels"]:
            raise RecordingError(
                f"{file.parent.name}/continuous.ch has {index.n_channels} channels, and "
                f"structure.oebin says {stream['num_channels']}; put the files of one recording "
                "into the folder"
            )
