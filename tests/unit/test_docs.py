"""README and pages: links and promised tests exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_blocks import PAGES, TOP_PAGES, Block, blocks, words

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text()


# ----- the README --------------------------------------------------------------------------------


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_readme_shows_demo_and_tests_before_anything_else() -> None:
    first_block = README.partition("```bash\n")[2].partition("```")[0].splitlines()
    assert [line.partition("#")[0].strip() for line in first_block] == ["make demo", "make test"]


# ----- links -------------------------------------------------------------------------------------


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Build the site, which resolves each link and anchor among the pages."""
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        check=True,
    )
    loaded = re.compile(r'<(?:script|link|img)[^>]*(?:src|href)="?https?://')
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    assert not [file.name for file in pages if loaded.search(file.read_text())]


LINKS = [
    (page.name, target)
    for page in TOP_PAGES
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", page.read_text())
]


@pytest.mark.parametrize(("name", "target"), LINKS)
def test_links_of_top_pages_lead_somewhere(name: str, target: str) -> None:
    file, _, anchor = target.partition("#")
    assert (ROOT / file).is_file() if file else anchor
    if anchor:
        text = (ROOT / (file or name)).read_text()
        titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        anchors = [re.sub(r"[^\w -]", "", title).replace(" ", "-").lower() for title in titles]
        assert anchor in anchors


# ----- audit -------------------------------------------------------------------------------------


def test_a_finding_that_the_audit_passes_over_has_its_reason() -> None:
    for line in (ROOT / "requirements" / "audit-findings.txt").read_text().splitlines():
        assert not line or re.fullmatch(r"#.*|\S+ +# \S+: \S.{20,}", line), line


# ----- promises ----------------------------------------------------------------------------------


def promises() -> list[tuple[str, str]]:
    """Each row of the tables of promises: what is promised, and the tests that show it."""
    marked = page("explanation/promises.md").partition("<!-- promises -->\n")[2]
    table = marked.partition("<!-- /promises -->")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    assert all(len(row) == 2 for row in rows)
    found = [(promise, shown) for promise, shown in rows if promise != "promise"]
    assert len(found) > 90, "the page lost its marks around the tables of promises"
    return found


@pytest.mark.parametrize(("promise", "shown"), promises())
def test_each_promise_names_tests_that_are_there(promise: str, shown: str) -> None:
    tests = re.findall(r"`([^`]+)`", shown)
    assert tests, promise
    for test in tests:
        file, _, name = test.partition("::")
        source = ast.parse((ROOT / file).read_text())
        functions = [node.name for node in source.body if isinstance(node, ast.FunctionDef)]
        assert name in functions, promise
        assert name.startswith("test_"), promise


# ----- command blocks ----------------------------------------------------------------------------

TYPED = [block for page in PAGES for block in blocks(page) if block.is_typed]


@pytest.mark.parametrize("block", TYPED, ids=str)
def test_each_command_block_is_tested_or_says_why_not(block: Block) -> None:
    kind, _, rest = block.mark.partition(": ")
    if kind == "not run":
        assert len(rest) > 10, "say why it cannot be run"
        for path in re.findall(r"tests/[\w/.]+\w", rest):
            assert (ROOT / path).exists(), f"there is no {path}"
    elif kind == "run" and rest:
        assert_typed_by(rest, block)
    else:
        assert block.mark == "run", "mark the block: run, run: TEST, or not run: REASON"


def assert_typed_by(test: str, block: Block) -> None:
    """Assert that the test exists, and that it and what it imports contain the block's words."""
    file, _, name = test.partition("::")
    text = (ROOT / file).read_text()
    assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"there is no {test}"
    imported = re.findall(r"^from (tests\.\S+) import", text, re.MULTILINE)
    places = [module.replace(".", "/") for module in imported]
    helpers = [helper for place in places for helper in ROOT.glob(f"{place}*/**/*.py")]
    helpers += [ROOT / f"{place}.py" for place in places]
    helpers += [folder / "conftest.py" for folder in (ROOT / file).parents if folder != ROOT]
    text += "".join(helper.read_text() for helper in helpers if helper.is_file())
    missing = [word for word in sorted(words(block.text)) if word not in text]
    assert not missing, f"{test} does not type {missing}"
