"""The build context of the images: what is in it, what never is, and that it is always the same."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from spikeinterface_cloud.aws.infra.build_context import (
    BUNDLED,
    COMMIT_FILE,
    FILES,
    ContextError,
    pack,
    read_context,
)

ROOT = Path(__file__).parents[3]

#: what must not reach an image, by a name that somebody's checkout may have
UNWANTED = (".env", "spikeinterface_cloud/.env", "spikeinterface_cloud/draft.py", "notes.txt")


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)  # noqa: S607


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this checkout, without git."""
    folder = tmp_path_factory.mktemp("source") / "checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "spikeinterface_cloud", folder / "spikeinterface_cloud", ignore=ignored)
    for name in (*FILES, "submit_job.py", "setup.py", "pyproject.toml", "README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def checkout(source: Path, tmp_path: Path) -> Path:
    """A checkout of them, committed."""
    folder = tmp_path / "checkout"
    shutil.copytree(source, folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All")
    return folder


def files(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_everything_that_a_dockerfile_copies_is_packed(checkout: Path) -> None:
    context = pack(checkout)
    for dockerfile in ("Dockerfile", "Dockerfile.gpu"):
        copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / dockerfile).read_text(), re.M)
        assert copied
        for name in " ".join(copied).split():
            assert name in context.names or f"{name}/__init__.py" in context.names
    assert set(FILES) < set(context.names)
    assert len(context.content) < 800_000


def test_only_what_git_tracks_is_packed(checkout: Path) -> None:
    before = pack(checkout)
    for name in UNWANTED:
        (checkout / name).write_text("AWS_SECRET_ACCESS_KEY=planted")
    (checkout / "spikeinterface_cloud" / "link.py").symlink_to("/etc/passwd")
    git(checkout, "add", "--force", "spikeinterface_cloud/link.py")
    cache = checkout / "spikeinterface_cloud" / "__pycache__"
    cache.mkdir()
    (cache / "a.pyc").write_bytes(b"\0")
    after = pack(checkout)
    assert after.left_out == ("spikeinterface_cloud/draft.py",)
    contents = files(after.content)
    assert contents.pop(COMMIT_FILE).decode().strip().endswith("-modified")
    assert contents.keys() | {COMMIT_FILE} == set(before.names)
    assert not any(b"planted" in content for content in contents.values())
    assert not any(name.startswith(("tests", ".env", ".git/")) for name in contents)


def test_a_source_archive_without_git_has_the_same_files(source: Path, checkout: Path) -> None:
    (source / "spikeinterface_cloud" / ".hidden.py").write_text("")
    unpacked, tracked = files(pack(source).content), files(pack(checkout).content)
    assert unpacked.pop(COMMIT_FILE) == b"unknown\n"
    assert re.fullmatch(rb"[0-9a-f]{40}\n", tracked.pop(COMMIT_FILE))
    assert unpacked == tracked


def test_the_same_files_make_the_same_bytes(checkout: Path) -> None:
    first = pack(checkout)
    os.utime(checkout / "run_script.py", (1, 1))
    (checkout / "requirements.txt").chmod(0o600)
    assert pack(checkout) == first
    content = (checkout / "run_script.py").read_bytes()
    git(checkout, "config", "core.autocrlf", "true")
    (checkout / "run_script.py").write_bytes(content.replace(b"\n", b"\r\n"))
    assert files(pack(checkout).content)["run_script.py"] == content
    (checkout / "run_script.py").write_bytes(content + b"\n# changed\n")
    assert pack(checkout).digest != first.digest


def test_the_entrypoint_stays_executable(checkout: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(pack(checkout).content)) as archive:
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    assert {name for name, mode in modes.items() if mode == 0o755} == {"container/entrypoint"}
    assert set(modes.values()) == {0o644, 0o755}


def test_missing_files_are_named(checkout: Path) -> None:
    (checkout / "requirements/gpu.txt").unlink()
    with pytest.raises(ContextError, match=r"lacks requirements/gpu.txt, which the images are"):
        pack(checkout)


def test_an_installation_without_its_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="install the program again with pip"):
        read_context(tmp_path / "spikeinterface_cloud", tmp_path / "build-context.zip")


def test_a_wheel_builds_the_same_image_as_its_checkout(checkout: Path, tmp_path: Path) -> None:
    built = tmp_path / "built"
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build", "--build-lib", str(built)],
        cwd=checkout,
        check=True,
        capture_output=True,
    )
    inside = built / BUNDLED.relative_to(ROOT)
    assert inside.read_bytes() == pack(checkout).content
    installed = read_context(built / "spikeinterface_cloud", inside)
    assert installed == read_context(checkout / "spikeinterface_cloud", tmp_path / "none")
