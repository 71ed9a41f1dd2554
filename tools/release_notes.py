"""Print the section of the changelog about a release: python -m tools.release_notes v0.1.0.

It fails if the tag is not the package's version, or the changelog has no dated section about it:
a release whose notes or version are wrong is not made.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from spikeinterface_cloud import __version__

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def release_notes(tag: str, version: str, changelog: str) -> str:
    """Return the section about the version, which a tag like `v0.1.0` names."""
    if tag != f"v{version}":
        raise SystemExit(f"the tag is {tag}, but the package is version {version}")
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    for section in sections:
        title, _, text = section.partition("\n")
        if re.fullmatch(rf"{re.escape(version)}\b.*\b\d{{4}}-\d\d-\d\d\b.*", title):
            return text.strip() + "\n"
    raise SystemExit(
        f"CHANGELOG.md has no section about {version} with its date, like "
        f"'## {version} (2026-12-01)'; add it, then tag again"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m tools.release_notes TAG")
    sys.stdout.write(release_notes(sys.argv[1], __version__, CHANGELOG.read_text()))
