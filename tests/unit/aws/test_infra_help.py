"""`submit_job.py infra` on a laptop: quick to show, and without what only the container has."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikeinterface_cloud.aws.infra.commands import infra
from tests.unit.aws.test_submit_help import ROOT, SLOW, run


@pytest.mark.parametrize("command", infra.commands)
def test_help_imports_nothing_slow(command: str, tmp_path: Path) -> None:
    program = str(ROOT / "submit_job.py")
    shown = run(tmp_path, "-X", "importtime", program, "infra", command, "--help")
    imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    assert "click" in imported
    assert not imported & set(SLOW)
    assert shown.stdout.startswith(f"Usage: submit_job.py infra {command}")


def test_every_option_has_a_help_text() -> None:
    for command in infra.commands.values():
        for option in command.params:
            assert getattr(option, "help", None), option.opts
