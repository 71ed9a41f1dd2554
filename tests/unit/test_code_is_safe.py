"""What our code never does: run text as a program, load pickles, or hand strings to a shell."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: what runs text or bytes as a program, by the last part of its name
RUNS_TEXT = frozenset({"eval", "exec", "compile", "__import__", "execfile"})

#: the same, where the whole name matters
FORBIDDEN = frozenset(
    {
        "os.system",
        "os.popen",
        "subprocess.getoutput",
        "subprocess.getstatusoutput",
        "asyncio.create_subprocess_shell",
        "pickle.load",
        "pickle.loads",
        "pickle.Unpickler",
        "dill.load",
        "dill.loads",
        "cloudpickle.load",
        "cloudpickle.loads",
        "joblib.load",
        "torch.load",
        "pandas.read_pickle",
        "pd.read_pickle",
        "marshal.load",
        "marshal.loads",
        "shelve.open",
        "yaml.load",
        "yaml.unsafe_load",
        "importlib.import_module",
        "runpy.run_path",
        "tempfile.mktemp",
    }
)

#: modules whose only use is what is forbidden
MODULES = frozenset({"pickle", "dill", "cloudpickle", "marshal", "shelve"})


def programs() -> list[Path]:
    folders = ("spikeinterface_cloud", "container", "examples", "benchmarks", "tools")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    return sorted([*ROOT.glob("*.py"), *files])


def unsafe(source: str) -> list[str]:
    """What a source does that it must not, by line."""
    return [f"line {line}: {what}" for line, what in _unsafe_nodes(ast.parse(source))]


def _unsafe_nodes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in RUNS_TEXT or name in FORBIDDEN:
                yield node.lineno, name
            for keyword in node.keywords:
                if keyword.arg == "shell" and ast.unparse(keyword.value) != "False":
                    yield node.lineno, "shell"
                if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
                    yield node.lineno, "allow_pickle"
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in MODULES:
                    yield node.lineno, f"import {alias.name}"
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            yield node.lineno, f"import {node.module}"


@pytest.mark.parametrize("file", programs(), ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_runs_text_loads_pickles_or_starts_a_shell(file: Path) -> None:
    assert unsafe(file.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "exec(text)",
        "import pickle",
        "from pickle import load",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=flag)",
        "yaml.load(text)",
        "numpy.load(file, allow_pickle=True)",
        "torch.load(file)",
    ],
)
def test_what_is_unsafe_is_found(source: str) -> None:
    assert len(unsafe(source)) == 1


@pytest.mark.parametrize(
    "source", ["ast.literal_eval(text)", "re.compile('a')", "np.load(file, allow_pickle=False)"]
)
def test_what_is_safe_is_let_pass(source: str) -> None:
    assert unsafe(source) == []
