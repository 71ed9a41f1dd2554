"""The wheel of this checkout, built and installed by uv, which is quicker than pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from spikeinterface_cloud.aws.infra.build_context import COMMIT_FILE, FILES

ROOT = Path(__file__).parents[2]

#: what a wheel is built from
SOURCES = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py", "submit_job.py")
PACKAGE = "spikeinterface_cloud"

#: the commit that the wheel says it is of
COMMIT = "0123456789abcdef0123456789abcdef01234567"

#: the packages that the tests and images have
CONSTRAINTS = str(ROOT / "requirements" / "constraints.txt")
PINNED = ("--constraint", CONSTRAINTS)

#: pip's settings for machines behind a proxy, and uv's
UV_SETTINGS = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_CERT": "SSL_CERT_FILE"}


def build_wheel(sources: Path) -> Path:
    """Return the wheel, built by way of the source distribution from a copy in `sources`."""
    for name in (*SOURCES, *FILES):
        (sources / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, sources / name)
    shutil.copytree(ROOT / PACKAGE, sources / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    (sources / COMMIT_FILE).write_text(COMMIT)
    uv("build", "--build-constraint", CONSTRAINTS, folder=sources)
    [built] = (sources / "dist").glob("*.whl")
    return built


def install(wheel: Path, folder: Path, python: str, versions: Sequence[str] = PINNED) -> str:
    """Install the wheel into a new environment in `folder`; return the path of the command."""
    uv("venv", "--python", python, "venv", folder=folder)
    uv("pip", "install", "--python", "venv", *versions, str(wheel), folder=folder)
    return str(folder / "venv" / "bin" / "spikeinterface-cloud")


def uv(*arguments: str, folder: Path) -> None:
    """Run uv, which must succeed."""
    settings = {uvs: os.environ[pips] for pips, uvs in UV_SETTINGS.items() if pips in os.environ}
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), *arguments],
        cwd=folder,
        env={**os.environ, **settings, "UV_PYTHON_DOWNLOADS": "never"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
