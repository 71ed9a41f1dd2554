"""What is in the image, and what is not."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

import pytest

import spikeinterface_cloud
from tests.end_to_end.containers.containers import (
    REPOSITORY,
    engine_command,
    run_container,
    started_container,
)

pytestmark = [pytest.mark.integration, pytest.mark.docker]

MAXIMUM_BYTES = 1_500_000_000

#: every file of the image's own, with its size
LIST_FILES = "find / -xdev -type f -printf '%p\\n'"


@pytest.fixture(scope="module")
def configuration(image: str) -> dict[str, Any]:
    [described] = json.loads(engine_command("image", "inspect", image))
    found: dict[str, Any] = described["Config"]
    return found


@pytest.fixture(scope="module")
def files(image: str) -> list[str]:
    done = run_container(image, "-c", LIST_FILES, options=["--entrypoint", "/bin/bash"])
    return done.output.splitlines()


def test_it_is_smaller_than_it_has_to_be(image: str, built: str) -> None:
    size = int(engine_command("image", "inspect", "--format", "{{.Size}}", image))
    assert size < MAXIMUM_BYTES
    assert f"{image}: {size // 1_000_000} MB" in built


def test_no_layer_is_of_code_before_the_packages(image: str) -> None:
    history = engine_command("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    last_first = history.splitlines()
    order = [
        next(number for number, line in enumerate(last_first) if text in line)
        for text in ("LABEL", "run_script.py", "/opt/venv /opt/venv", "apt-get install")
    ]
    assert order == sorted(order)


@pytest.mark.parametrize(
    "program", ["gcc", "cc", "c++", "ld", "make", "git", "pip", "wget", "curl"]
)
def test_there_is_no_tool_to_build_with(image: str, program: str) -> None:
    options = ["--entrypoint", "/bin/bash"]
    assert run_container(image, "-c", f"command -v {program}", options=options).exit_code == 1


@pytest.mark.parametrize(
    "pattern",
    [
        r"/tests/",
        r"^/(root|tmp|home|var/cache|var/log|var/lib/apt/lists|run/secrets)/.*\S{6}",
        r"/\.env$|/\.git/|\.whl$|/pip/",
        r"^/opt/spikeinterface-cloud/(?!(__pycache__/)?run_script\.|spikeinterface_cloud/(.*\.pyc?"
        r"|py\.typed|prices\.json|config/catalog/snapshot\.json"
        r"|results/run\.schema\.json|session/session\.schema\.json|aws/infra/cloudformation\.yaml"
        r"|report/template/((base|macros|report|session)\.html|style\.css|script\.js))$)",
    ],
)
def test_nothing_is_left_of_tests_caches_and_secrets(files: list[str], pattern: str) -> None:
    own = {"/root/.bashrc", "/root/.profile"}  # Debian's
    assert len(files) > 1000
    assert [file for file in files if re.search(pattern, file) and file not in own] == []


def test_no_layer_tells_a_secret(image: str, configuration: dict[str, Any]) -> None:
    history = engine_command("history", "--no-trunc", image)
    assert "BEGIN CERTIFICATE" not in history
    variables = dict(entry.split("=", 1) for entry in configuration["Env"])
    assert [name for name in variables if re.search("SECRET|TOKEN|PASSWORD|KEY", name)] == []


def test_the_labels_tell_its_version_and_commit(configuration: dict[str, Any]) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607 -- whichever git the developer has
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    labels = configuration["Labels"]
    assert labels["org.opencontainers.image.version"] == spikeinterface_cloud.__version__
    assert labels["org.opencontainers.image.revision"].removesuffix("-modified") == commit


def test_python_is_that_of_the_packages(image: str) -> None:
    program = "import os, sys, spikeinterface; print(sys.prefix, os.environ['PYTHONUNBUFFERED'])"
    done = run_container(image, "python", "-c", program)
    assert (done.exit_code, done.output) == (0, "/opt/venv 1\n"), done.log


def test_a_shell_can_be_had(image: str) -> None:
    done = run_container(image, "-c", "command -v python", options=["--entrypoint", "/bin/bash"])
    assert done.output.strip() == "/opt/venv/bin/python"


@pytest.mark.parametrize("user", [None, "4321:4321", "0:0"])
def test_no_job_runs_as_root_and_every_cache_can_be_written(image: str, user: str | None) -> None:
    program = (
        "import os, pathlib, getpass\n"
        "assert os.getuid() and os.getgid() and 0 not in os.getgroups(), os.getgroups()\n"
        "assert getpass.getuser()\n"
        "for name in ('HOME', 'XDG_CACHE_HOME', 'NUMBA_CACHE_DIR', 'MPLCONFIGDIR', 'TORCH_HOME'):\n"
        "    folder = pathlib.Path(os.environ[name], 'a', 'b')\n"
        "    folder.mkdir(parents=True)\n"
        "    (folder / 'file').write_text('')\n"
        "pathlib.Path('/scratch/file').write_text('')\n"
    )
    options = [] if user is None else ["--user", user]
    done = run_container(image, "python", "-c", program, options=options)
    assert done.exit_code == 0, done.log


@pytest.mark.parametrize("command", [("python", "run_script.py", "--check"), ("--check",)])
def test_its_health_is_the_check(image: str, command: tuple[str, ...]) -> None:
    variables = {"TEST_WITH_TOY_RECORDING": "yes", "SORTERS": "simple"}
    done = run_container(image, *command, variables=variables)
    assert done.exit_code == 0, done.log
    rows = [re.split(" {2,}", line) for line in done.output.splitlines()]
    assert {outcome for _, outcome, *_ in rows} == {"ok"}


def test_the_check_of_no_settings_is_that_of_the_contract(image: str) -> None:
    assert run_container(image, "python", "run_script.py", "--check").exit_code == os.EX_CONFIG


@pytest.mark.parametrize("options", [[], ["--init"], ["--user", "4321:4321"]], ids=str)
def test_sigterm_reaches_the_program(image: str, options: list[str]) -> None:
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
        "print('ready')\n"
        "signal.pause()\n"
    )
    with started_container(image, "python", "-c", program, options=options) as container:
        container.wait_for("ready")
        assert container.stop(grace_s=10) < 8
        assert container.finished().exit_code == 75


def test_orphans_are_reaped(image: str) -> None:
    program = (
        "import pathlib, subprocess, time\n"
        "subprocess.run(['sh', '-c', '(sleep 0.2; exit 3) & exit 0'])\n"
        "time.sleep(1.0)\n"
        "stats = [path.read_text() for path in pathlib.Path('/proc').glob('[0-9]*/stat')]\n"
        "print([stat for stat in stats if stat.rpartition(')')[2].split()[0] == 'Z'])\n"
    )
    assert run_container(image, "python", "-c", program).output.strip() == "[]"
