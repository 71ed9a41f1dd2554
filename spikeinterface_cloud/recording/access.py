"""Whether this user may read a local source, before a reader fails in the middle of it.

A container does not run as root, so a mounted folder of another owner is an ordinary mistake.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikeinterface_cloud.errors import SourceError
from spikeinterface_cloud.recording.formats.zarr_metadata import METADATA

#: longer paths are cut in messages
LONGEST_PATH = 200


def check_readable(path: Path, endings: tuple[str, ...]) -> None:
    """Raise `SourceError` unless every folder of a local source may be listed and entered.

    Parameters
    ----------
    path
        a folder, or a file, which has to be readable
    endings
        of files in the folder that have to be readable, besides Zarr's metadata; others may not
        matter
    """
    with explain_access("SOURCE_FOLDER", path):
        path.stat()
        if path.is_file():
            _require(path, os.R_OK)
            _require(path.parent, os.R_OK | os.X_OK)
            return
        needed = (*endings, *METADATA)
        for folder, _, names in os.walk(path, onerror=_raise):
            _require(Path(folder), os.R_OK | os.X_OK)
            for file in (Path(folder, name) for name in names):
                if file.name.lower().endswith(needed) and _leads_to_a_file(file):
                    _require(file, os.R_OK)


@contextmanager
def explain_access(variable: str, path: Path) -> Iterator[None]:
    """Turn what the system says of a path into a `SourceError` with its remedy."""
    shown = str(path) if len(str(path)) <= LONGEST_PATH else f"{str(path)[:LONGEST_PATH]}..."
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(
            f"{variable}: {shown} does not exist; correct the path, or in Docker mount it "
            f"(docker run -v <folder on the host>:{shown} ...)"
        ) from error
    except PermissionError as error:
        raise forbidden(variable, error.filename or shown) from error
    except OSError as error:
        raise SourceError(
            f"{variable}: {shown} cannot be opened ({error.strerror}); correct the path"
        ) from error


def forbidden(variable: str, path: object) -> SourceError:
    """Return the error of a file or folder that this user may not read."""
    return SourceError(
        f"{variable}: {path} may not be read by this user (uid {os.geteuid()}); allow it on the "
        "host (chmod -R a+rX FOLDER), or run the container as its owner (docker run --user ...)"
    )


def permission_error(error: BaseException) -> PermissionError | None:
    """Return the refusal of the system that an error of a reader comes from, if it does."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, PermissionError):
        cause = cause.__cause__ or cause.__context__
    return cause


def _leads_to_a_file(file: Path) -> bool:
    """Return False for broken and circular links, which readers skip."""
    try:
        return file.is_file()
    except PermissionError as error:
        raise PermissionError(errno.EACCES, error.strerror, str(file)) from error


def _require(path: Path, mode: int) -> None:
    if not os.access(path, mode):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _raise(error: OSError) -> None:
    raise error
