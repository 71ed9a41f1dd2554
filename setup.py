"""Put the files of the images into the wheel; everything else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from spikeinterface_cloud.aws.infra.build_context import (  # noqa: E402
    BUNDLED,
    COMMIT_FILE,
    PACKAGE,
    commit_of,
    pack,
)


class BuildWithContext(build_py):
    """Build the package, with the files that `infra build` sends."""

    def run(self) -> None:
        """Write the archive beside the module that reads it."""
        super().run()
        if not self.editable_mode:
            archive = Path(self.build_lib) / BUNDLED.relative_to(PACKAGE.parent)
            archive.parent.mkdir(parents=True, exist_ok=True)
            archive.write_bytes(pack(ROOT).content)


class SourcesWithCommit(sdist):
    """The source distribution, which says what commit it is of, as it has no git."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Add the commit to the files."""
        super().make_release_tree(base_dir, files)
        (Path(base_dir) / COMMIT_FILE).write_text(f"{commit_of(ROOT)}\n", encoding="ascii")


setup(cmdclass={"build_py": BuildWithContext, "sdist": SourcesWithCommit})
