"""Command blocks of README and pages, and how each is tested.

A comment above each block says it: `<!-- run -->` if a test runs it as it stands,
`<!-- run: TEST -->` if that test types the same commands, `<!-- not run: REASON -->` if none can.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = [*TOP_PAGES, *sorted((ROOT / "docs").rglob("*.md"))]

#: languages of blocks that a reader types
TYPED = ("bash", "sh", "console", "python")

FENCED = re.compile(
    r"(?:^ *<!-- (?P<mark>[^\n]*?) -->\n)?^(?P<indent> *)```(?P<language>\w*)[^\n]*\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A fenced block, and the comment above it."""

    page: Path
    mark: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.text.splitlines()[0]}"

    @property
    def is_typed(self) -> bool:
        """Whether a reader types it."""
        return self.language in TYPED


def blocks(page: Path) -> Iterator[Block]:
    """Return the fenced blocks of a page."""
    for found in FENCED.finditer(page.read_text(encoding="utf-8")):
        yield Block(
            page=page,
            mark=found["mark"] or "",
            language=found["language"],
            text=re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
        )


def words(commands: str) -> set[str]:
    """Return what a test that types these commands has to contain.

    >>> sorted(words("make push PUSH=--dry-run  # shows them"))
    ['PUSH=', 'make', 'push']
    >>> sorted(words("export SORTERS=simple\\n.venv/bin/python run_script.py --check"))
    ['--check', 'SORTERS', 'run_script.py']
    >>> sorted(words('spikeinterface-cloud results "$job" --download here'))
    ['--download', 'results']
    """
    found: set[str] = set()
    for line in re.sub(r"\\\n", " ", commands).splitlines():
        command = re.sub(r"\s#.*", "", line)
        given = re.sub(r"=\S+", "=", re.sub(r"'[^']*'|\"[^\"]*\"", "", command)).split()
        if not given or given[0].startswith("#"):
            continue
        options = {word.rstrip("=") for word in given[1:] if word.startswith("--")}
        variables = {word for word in given[1:] if re.fullmatch(r"[A-Z_0-9]+=", word)}
        if given[0] == "export":
            variables = {word.rstrip("=") for word in variables}
        names = [word for word in given if re.fullmatch(r"[a-z_]+(?:-[a-z]+)*(?:\.py)?", word)]
        if given[0] == "spikeinterface-cloud":
            names = [word for word in given[1:3] if word in names]
        elif given[0] != "make":
            names = [word for word in names if word.endswith(".py") or word == "docker"]
        found |= options | variables | set(names)
    return found
