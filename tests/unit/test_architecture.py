"""Imports point one way, and the laptop needs neither SpikeInterface nor torch."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "spikeinterface_cloud"
OWN = "spikeinterface_cloud"

#: from the ground up: a room imports only rooms that stand before it
ROOMS = (
    "errors",
    "prices",
    "aws_errors",
    "aws_models",
    "aws_replies",
    "config",
    "runtime",
    "storage",
    "results",
    "dandi",
    "recording",
    "preprocessing",
    "sorting",
    "analysis",
    "exports",
    "report",
    "session",
    "array_job",
    "start",
    "fingerprint",
    "preflight",
    "checks",
    "aws",
)

#: of `aws/`, from the ground up
AWS_ROOMS = ("base", "cli", "inputs", "batch", "infra", "diagnose", "estimate", "python")

#: of `aws/`: modules that every room of it may import
AWS_BASE = ("credentials", "program_name", "regions", "session", "stack_outputs", "table")

#: of `aws/`: what Python gets of all this
AWS_PYTHON = ("python_api", "python_arguments")

#: they need neither boto3 nor numpy either
LIGHT = (
    "errors",
    "config.locations",
    "config.parsing",
    "config.settings",
    "config.dandi_urls",
    "config.manifest",
    "config.conflicts",
    "config.catalog.validation",
    "config.catalog.snapshot",
    "recording.formats.session_streams",
    "recording.formats.uncompressed",
    "dandi.zarr_reader",
    "start.program",
    "results.run_schema",
    "aws.estimate.table",
)


#: methods of boto3's client of S3, and its transfers
S3_CALL = re.compile(
    r"list_objects_v2|\.(?:get|put|head|delete|copy)_objects?\(|(?:head|create)_bucket"
    r"|\.(?:upload|download)_file(?:obj)?\(|multipart_upload|generate_presigned|boto3\.s3"
)

#: packages that only the container has
HEAVY = {"spikeinterface", "torch", "numpy", "probeinterface", "neo"}
HEAVY |= {"obstore", "tenacity", "psutil", "tqdm"}


def source_of(module: str) -> str:
    return (PACKAGE / f"{module.replace('.', '/')}.py").read_text()


@cache
def modules() -> list[str]:
    files = [path for path in PACKAGE.rglob("*.py") if path.stem != "__init__"]
    return sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in files)


@cache
def imports_of(module: str) -> set[str]:
    """The modules of the package that this one imports, anywhere in it."""
    known = set(modules())
    found: set[str] = set()
    for node in ast.walk(ast.parse(source_of(module))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == OWN:
            package = (node.module or "").removeprefix(OWN).removeprefix(".")
            for alias in node.names:
                whole = f"{package}.{alias.name}".removeprefix(".")
                found.add(whole if whole in known else package)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == OWN]
            found |= {name.removeprefix(OWN).removeprefix(".") for name in names}
    return found - {""}


def room_of_aws(module: str) -> str:
    room = module.split(".")[1]
    if room in AWS_BASE:
        return "base"
    return "python" if room in AWS_PYTHON else room


def test_every_module_has_a_room() -> None:
    assert {module.split(".")[0] for module in modules()} == set(ROOMS)
    in_aws = [module for module in modules() if module.startswith("aws.")]
    assert {room_of_aws(module) for module in in_aws} == set(AWS_ROOMS)


def test_the_root_of_the_package_is_small() -> None:
    here = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len([path for path in here if path.is_file()]) <= 12
    assert len([path for path in here if path.is_dir()]) <= 14


@pytest.mark.parametrize("module", modules())
def test_a_room_imports_only_rooms_below_it(module: str) -> None:
    floor = ROOMS.index(module.split(".")[0])
    above = [name for name in imports_of(module) if ROOMS.index(name.split(".")[0]) > floor]
    assert not above


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("aws.")])
def test_a_room_of_aws_imports_only_rooms_below_it(module: str) -> None:
    floor = AWS_ROOMS.index(room_of_aws(module))
    in_aws = [name for name in imports_of(module) if name.startswith("aws.")]
    assert not [name for name in in_aws if AWS_ROOMS.index(room_of_aws(name)) > floor]


def test_imports_form_no_circle() -> None:
    waiting = {module: imports_of(module) for module in modules()}
    while ready := [module for module, needs in waiting.items() if not needs & waiting.keys()]:
        for module in ready:
            del waiting[module]
    assert not waiting


def heavy_packages_of(program: str) -> list[str]:
    """The heavy packages that a program has imported when it ends, as a new process tells."""
    heavy = HEAVY | {"dandi", "boto3"}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\n{program}\nprint(*sorted({heavy!r} & {{*sys.modules}}))",
        ],
        cwd=PACKAGE.parent,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().split()


@pytest.mark.parametrize("module", LIGHT)
def test_what_every_command_needs_is_light(module: str) -> None:
    assert heavy_packages_of(f"import {OWN}.{module}") == []


def test_aws_needs_no_package_of_the_container() -> None:
    in_aws = [f"import {OWN}.{name}" for name in modules() if name.startswith("aws.")]
    in_aws.append(f"import {OWN}.storage.s3")  # imported where a command calls S3
    assert not HEAVY & {*heavy_packages_of("\n".join(in_aws))}


@pytest.mark.parametrize("module", [name for name in modules() if name != "storage.s3"])
def test_only_the_s3_layer_calls_s3(module: str) -> None:
    assert not S3_CALL.findall(source_of(module))


@pytest.mark.parametrize("module", modules())
def test_a_module_can_be_read_in_one_go(module: str) -> None:
    assert len(source_of(module).splitlines()) <= 400
