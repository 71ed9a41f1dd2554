"""What an earlier job found with a sorter, out of the way until there is something else."""

import shutil
from pathlib import Path

from spikeinterface_cloud.completion import NAME
from spikeinterface_cloud.result_files import files_of


class SetAside:
    """A hidden folder beside that of the sorter, which may be there or not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = folder.with_name(f".{folder.name}.earlier")

    def exists(self) -> bool:
        """Whether anything is set aside."""
        return self._place.exists()

    def take(self) -> None:
        """Set the folder of the sorter aside, with all that is in it."""
        self._folder.rename(self._place)

    def put_back(self) -> None:
        """Give it its place again, unless it was replaced: then it is forgotten."""
        if not self.exists():
            return
        if (self._folder / NAME).is_file():
            self.forget()
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        self._place.rename(self._folder)

    def forget(self) -> None:
        """Remove it; files that are not this program's go to the sorter's folder."""
        if not self.exists():
            return
        for file in files_of(self._place).values():
            file.unlink()
        (self._place / NAME).unlink(missing_ok=True)
        for file in [file for file in self._place.rglob("*") if file.is_file()]:
            place = self._folder / file.relative_to(self._place)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.rename(place)
        shutil.rmtree(self._place)
