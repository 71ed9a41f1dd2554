"""Open Ephys folders whose samples mtscomp compressed.

They are decompressed into a copy of the folder, because neo reads the files themselves.
"""

import json
import logging
import shutil
from pathlib import Path

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.formats.mtscomp_recording import (
    Index,
    check_samples,
    read_index,
)
from spikeinterface_cloud.recording.formats.open_ephys_names import MTSCOMP, SAMPLES, STRUCTURE
from spikeinterface_cloud.runtime.disk import disk_errors
from spikeinterface_cloud.runtime.host import usable_cpus

logger = logging.getLogger(__name__)


def decompress(source: Path, folder: Path) -> Path:
    """Return `source`, or a copy of it in `folder` where mtscomp compressed samples of Open Ephys.

    The copy links to all other files.
    """
    if not source.is_dir() or next(source.rglob(STRUCTURE), None) is None:
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
    structure = json.loads((file.parents[2] / STRUCTURE).read_text())
    for stream in structure["continuous"]:
        if Path(stream["folder_name"]).name != file.parent.name:
            continue
        if index.n_channels != stream["num_channels"]:
            raise RecordingError(
                f"{file.parent.name}/continuous.ch has {index.n_channels} channels, and "
                f"structure.oebin says {stream['num_channels']}; put the files of one recording "
                "into the folder"
            )
