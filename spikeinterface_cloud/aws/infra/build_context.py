"""The build context of the images: the files that the Dockerfiles copy, as one ZIP archive.

In a checkout the archive is made of the files that git tracks. The wheel carries the archive that
setup.py made of the same files, so that both build the same image. Needs nothing but Python's
standard library, as setup.py runs in an environment without the dependencies.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeinterface_cloud.errors import CloudJobError

PACKAGE = Path(__file__).parents[2]

#: the archive inside the wheel; a checkout has none
BUNDLED = Path(__file__).with_name("build-context.zip")

#: beside the package, for a build
FILES = (
    ".dockerignore",
    "Dockerfile",
    "Dockerfile.gpu",
    "container/buildspec.yml",
    "container/fill_numba_cache.py",
    "container/entrypoint",
    "requirements.txt",
    "requirements/constraints.txt",
    "requirements/gpu.txt",
    "requirements/wavpack.txt",
    "run_script.py",
)

#: run by the container; file modes are lost on Windows and in wheels
EXECUTABLE = frozenset({"container/entrypoint"})

#: kinds of files of the package, where no git says which are its own
SUFFIXES = frozenset({".css", ".html", ".js", ".json", ".py", ".typed", ".yaml"})

#: added to the archive: the commit that the files are of
COMMIT_FILE = "commit"

#: ZIP's first moment
EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX = 3
REGULAR_FILE = 0o100000


class ContextError(CloudJobError):
    """The files of the images are not complete on this machine (1)."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildContext:
    """The archive that an image is built from."""

    content: bytes
    #: names of its files, sorted
    names: Sequence[str]
    #: files of the package that git does not track, so that they are left out
    left_out: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The start of the archive's SHA-256, which names it on S3."""
        return hashlib.sha256(self.content).hexdigest()[:32]


def read_context(package: Path = PACKAGE, bundled: Path = BUNDLED) -> BuildContext:
    """Return the context: of the checkout that the package is in, or else of the wheel.

    Raises ContextError (there is neither, or files are missing).
    """
    root = package.parent
    if (root / "Dockerfile").is_file() and (root / "submit_job.py").is_file():
        return pack(root)
    if not bundled.is_file():
        raise ContextError(
            f"the files of the images are not in {bundled.parent}; install the program again with "
            "pip, or run it from a checkout"
        )
    content = bundled.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return BuildContext(content=content, names=archive.namelist())


def pack(root: Path) -> BuildContext:
    """Return the context of a checkout; the same files always make the same bytes.

    Modification times, owners and line ends of Windows are left out.

    Raises
    ------
    ContextError
        A file is missing, or git does not answer.
    """
    in_git = (root / ".git").exists()
    names = _tracked(root) if in_git else _unpacked(root)
    if missing := [name for name in FILES if name not in names]:
        raise ContextError(
            f"{root} lacks {', '.join(missing)}, which the images are built from; restore "
            f"{'it' if len(missing) == 1 else 'them'}"
        )
    contents = {name: _content(root / name) for name in names}
    contents[COMMIT_FILE] = f"{commit_of(root)}\n".encode()
    return BuildContext(
        content=_archive(contents),
        names=sorted(contents),
        left_out=_untracked(root) if in_git else (),
    )


def _archive(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = UNIX
            mode = 0o755 if name in EXECUTABLE else 0o644
            entry.external_attr = (REGULAR_FILE | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, contents[name], compresslevel=9)
    return buffer.getvalue()


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    return content if b"\0" in content else content.replace(b"\r\n", b"\n")


def _tracked(root: Path) -> set[str]:
    """Return the files that git tracks and that are still there."""
    names = _git(root, "ls-files", "-z", "--", *FILES, PACKAGE.name).split("\0")
    return _files(root, names)


def _untracked(root: Path) -> tuple[str, ...]:
    """Return the Python files of the package that git does not track."""
    pattern = f"{PACKAGE.name}/*.py"
    names = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", pattern)
    return tuple(sorted(filter(None, names.split("\0"))))


def _unpacked(root: Path) -> set[str]:
    """Return the files of a source archive, which has no git."""
    of_package = (
        path.relative_to(root).as_posix()
        for path in (root / PACKAGE.name).rglob("*")
        if path.suffix in SUFFIXES
    )
    visible = [name for name in of_package if not any(part[0] == "." for part in name.split("/"))]
    return _files(root, [*FILES, *visible])


def _files(root: Path, names: Iterable[str]) -> set[str]:
    return {
        name
        for name in names
        if name and (root / name).is_file() and not (root / name).is_symlink()
    }


def commit_of(root: Path) -> str:
    """Return the commit of a checkout, or of the source distribution that was made of it."""
    if (root / ".git").exists():
        modified = ("--exclude=*", "--dirty=-modified")
        return _git(root, "describe", "--always", "--abbrev=40", *modified).strip()
    file = root / COMMIT_FILE
    return file.read_text(encoding="ascii").strip() if file.is_file() else "unknown"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise ContextError(
            f"git, which says what belongs to the image, cannot be run: {error.strerror}; install "
            "it, or install this program with `pip install .`"
        ) from error
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise ContextError(f"git does not say what belongs to the image: {reason}")
    return done.stdout.decode(errors="surrogateescape")
