"""Which block of a TDT tank is the recording, and what neo opens of it.

A tank is a folder of blocks, each a folder whose files are named after both. neo takes a tank,
whose blocks it reads as segments.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.messages import list_first

#: the index of the samples, which each block has
INDEX = "*.[tT][sS][qQ]"


def refuse_several_blocks(names: Sequence[PurePosixPath]) -> None:
    """Raise `SettingsError` if there are several blocks among the files of a source."""
    blocks = sorted({name.parent for name in names if name.match(INDEX)})
    if len(blocks) > 1:
        raise SettingsError(
            f"there are {len(blocks)} blocks (recordings) here: {list_first(blocks, 10)}; move the "
            "others out of the tank, and sort them one by one or joined"
        )


def tank_of(path: Path) -> Path:
    """Return the tank of the only block at or below `path`; `path` if there is none, or several."""
    indices = sorted(path.rglob(INDEX))
    if len({index.parent for index in indices}) != 1:
        return path
    index = indices[0]
    block, tank = index.parent, index.parent.parent
    others = [each.parent for each in tank.glob(f"*/{INDEX}") if each.parent != block]
    if index.stem != f"{tank.name}_{block.name}" or others:
        raise RecordingError(
            f"the reader (neo) finds {index.name} only in folders of the names in it, "
            "TANK/BLOCK/TANK_BLOCK.tsq, without other blocks in TANK; put the block into such "
            "folders, and name the one that TANK is in as the source"
        )
    return tank
