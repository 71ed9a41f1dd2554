"""What an earlier job found with a sorter, out of the way until there is something else."""

import shutil
from pathlib import Path

from spikeinterface_cloud.results.completion import NAME, read_completion
from spikeinterface_cloud.results.layout import FAILED, move_managed, remove_own


class SetAside:
    """A hidden folder beside that of the sorter, which may be there or not; what is not this
    program's stays in the sorter's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = folder.with_name(f".{folder.name}.earlier")

    def exists(self) -> bool:
        """Whether anything is set aside."""
        return self._place.exists()

    def take(self) -> None:
        """Set aside what is in the folder of the sorter. The record goes first and comes back last,
        so that a half of it is never taken for the whole."""
        self._place.mkdir(exist_ok=True)
        record = self._folder / NAME
        if record.is_file():
            record.replace(self._place / NAME)
        move_managed(self._folder, self._place)

    def put_back(self) -> None:
        """Give it its place again, unless it was replaced: then it is forgotten."""
        if not self.exists():
            return
        if not (self._folder / NAME).is_file():
            record = self._place / NAME
            self._remove_what_was_begun(record)
            move_managed(self._place, self._folder)
            if record.is_file():
                record.replace(self._folder / NAME)
        self.forget()

    def _remove_what_was_begun(self, record: Path) -> None:
        found = read_completion(record.read_bytes()) if record.is_file() else None
        if found is not None:
            belonging = {file.path.partition("/")[0] for file in found.files}
            remove_own(self._folder, but={*belonging, FAILED})

    def forget(self) -> None:
        """Remove it."""
        if self.exists():
            shutil.rmtree(self._place)
