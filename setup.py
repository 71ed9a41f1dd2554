"""Put the build context of the images into the wheel; everything else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from spikeinterface_cloud.aws.infra.build_context import BUNDLED, pack  # noqa: E402


class BuildWithContext(build_py):
    """Build the package, with the files that `infra build` sends."""

    def run(self) -> None:
        """Write the archive beside the module that reads it."""
        super().run()
        if not self.editable_mode:
            archive = Path(self.build_lib) / BUNDLED.relative_to(ROOT.resolve())
            archive.parent.mkdir(parents=True, exist_ok=True)
            archive.write_bytes(pack(ROOT).content)


setup(cmdclass={"build_py": BuildWithContext})
