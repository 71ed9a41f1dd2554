"""README and pages: tables are the program's own, links and promised tests exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spikeinterface_cloud import errors
from spikeinterface_cloud.config.settings import settings_table

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


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?://)([^)]+)\)", README))
def test_links_of_the_readme_lead_somewhere(target: str) -> None:
    file, _, anchor = target.partition("#")
    assert (ROOT / file).is_file() if file else anchor
    if anchor:
        text = (ROOT / file).read_text() if file else README
        titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        anchors = [re.sub(r"[^\w -]", "", title).replace(" ", "-").lower() for title in titles]
        assert anchor in anchors


# ----- tables that are the program's own ---------------------------------------------------------


def test_the_table_of_settings_is_the_program_s_own() -> None:
    shown = re.search(
        r"<!-- settings:.*?-->\n(.*?)\n<!-- /settings -->",
        page("reference/settings.md"),
        re.DOTALL,
    )
    assert shown is not None, "the page lost its marks around the table of settings"
    assert shown[1] == settings_table(), "write settings_table() of settings.py into the page"


def test_every_exit_code_is_explained() -> None:
    rows = [
        f"| {code} | {known.meaning} | {known.remedy} |".replace("|  |", "| |")
        for code, known in errors.EXIT_CODES.items()
    ]
    assert "\n".join(rows) in page("reference/exit-codes.md"), "write EXIT_CODES into the page"
    raised = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and hasattr(error, "exit_code")
    }
    assert errors.EXIT_CODES.keys() == raised | {0, 1}


def test_the_exit_codes_of_the_submission_are_explained() -> None:
    table = page("reference/exit-codes.md").partition("\n## Of `spikeinterface-cloud`")[2]
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert codes == {0, 1, 2, 66, 69, 75, 77, 78, 130}


def test_a_finding_that_the_audit_passes_over_has_its_reason() -> None:
    for line in (ROOT / "requirements" / "audit-findings.txt").read_text().splitlines():
        assert not line or re.fullmatch(r"#.*|\S+ +# \S+: \S.{20,}", line), line


# ----- promises ----------------------------------------------------------------------------------


def promises() -> list[tuple[str, str]]:
    """Each row of the tables of promises: what is promised, and the tests that show it."""
    table = re.search(
        r"<!-- promises -->\n(.*?)\n<!-- /promises -->", page("explanation/promises.md"), re.DOTALL
    )
    assert table is not None, "the page lost its marks around the table of promises"
    rows = [row.strip("| ").split(" | ") for row in table[1].splitlines()[2:]]
    assert all(len(row) == 2 for row in rows)
    return [(promise, shown) for promise, shown in rows]


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
