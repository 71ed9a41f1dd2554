"""What keeps the program readable: imports point one way, and the laptop needs little."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "spikeinterface_cloud"

#: what the laptop needs to refuse a bad job, and to read what became of one, without any package
#: of the container
LAPTOP = (
    "errors",
    "location",
    "variables",
    "settings",
    "dandi.names",
    "manifest",
    "contradictions",
    "run_schema",
    "naming",
    "known_names",
    "estimation.table",
)


def imports_of(module: str) -> set[str]:
    """The modules of the package that this one imports, wherever in it."""
    tree = ast.parse(source_of(module))
    names = {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None
    }
    own = "spikeinterface_cloud."
    return {name.removeprefix(own) for name in names if name.startswith(own)}


def source_of(module: str) -> str:
    return (PACKAGE / f"{module.replace('.', '/')}.py").read_text()


def modules() -> list[str]:
    files = [path for path in PACKAGE.rglob("*.py") if path.stem != "__init__"]
    return sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in files)


def test_imports_form_no_circle() -> None:
    waiting = {module: imports_of(module) for module in modules()}
    while ready := [module for module, needs in waiting.items() if not needs & waiting.keys()]:
        for module in ready:
            del waiting[module]
    assert not waiting


@pytest.mark.parametrize("module", LAPTOP)
def test_the_laptop_imports_neither_spikeinterface_nor_what_comes_with_it(module: str) -> None:
    program = (
        "import sys\n"
        f"import spikeinterface_cloud.{module}\n"
        "heavy = {'spikeinterface', 'torch', 'numpy', 'dandi', 'obstore', 'boto3'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "[]"


@pytest.mark.parametrize("module", modules())
def test_a_module_can_be_read_in_one_go(module: str) -> None:
    assert len(source_of(module).splitlines()) <= 400
