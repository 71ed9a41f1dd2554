"""Put the pictures of `media/` into the site of the documentation.

A hook of mkdocs: pages name the pictures where they lie in the repository, outside of `docs/`, so
that they are also shown on GitHub.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

MEDIA = Path(__file__).parents[1] / "media"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pictures to the files of the site."""
    for picture in sorted(MEDIA.iterdir()):
        name = f"media/{picture.name}"
        files.append(File.generated(config, name, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Name the pictures where they are in the site."""
    upward = "../" * page.file.src_uri.count("/")
    return re.sub(r"\]\((?:\.\./)+media/", f"]({upward}media/", markdown)
