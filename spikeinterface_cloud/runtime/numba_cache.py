"""Numba's cache of compiled functions, for packages that do not ask for it.

SpikeInterface and Kilosort4 declare their functions without a cache, so that every process would
compile those that it uses: 10 to 70 s of CPU, most of a short job. Numba has no setting for it,
therefore the class that it makes of each function is changed here.
"""

import functools
import hashlib
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

#: packages whose functions are cached
PACKAGES = ("spikeinterface", "kilosort")

#: filled when the image was built, for all machines that have these instructions
IMAGE_CACHE = Path("/opt/numba-cache")
IMAGE_TARGET = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""}
#: what x86-64-v3 has beyond what every machine of today has
INSTRUCTIONS = {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}

CPUINFO = Path("/proc/cpuinfo")


def use_cache_of_image(image_cache: Path = IMAGE_CACHE, cpuinfo: Path = CPUINFO) -> None:
    """Let this process and its children start with the functions that the image brings.

    To be called before Numba is imported. Nothing happens outside of an image, or on a machine
    that lacks the instructions: there the functions are compiled for the machine.
    """
    cache = os.environ.get("NUMBA_CACHE_DIR")
    if cache is None or not _has_files(image_cache) or not has_instructions(cpuinfo):
        return
    for name, value in IMAGE_TARGET.items():
        os.environ.setdefault(name, value)
    if not _has_files(Path(cache)):
        _copy(image_cache, Path(cache))


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _copy(image_cache: Path, cache: Path) -> None:
    """Copy the folder, as Numba reads only where it may write; a failure costs only time."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for folder in image_cache.iterdir():
            with tempfile.TemporaryDirectory(dir=cache) as new:
                copy = shutil.copytree(folder, Path(new) / folder.name)
                copy.rename(cache / folder.name)
    except OSError as error:
        logger.debug("the compiled functions of the image could not be copied: %s", error)


def enable_numba_cache() -> None:
    """Cache the functions of `PACKAGES` that are declared from now on.

    The cache is in NUMBA_CACHE_DIR, or beside the modules, or in the user's folder of caches; if
    none of these can be written to, the functions are compiled as without it. So they are of
    packages that were installed from Git or as a link to a folder, whose version does not say what
    is in them.
    """
    if "NUMBA_CACHE_DIR" in os.environ:  # the job changes its working folder later
        os.environ["NUMBA_CACHE_DIR"] = str(Path(os.environ["NUMBA_CACHE_DIR"]).absolute())
    from numba.core.caching import FunctionCache, IndexDataCacheFile
    from numba.core.registry import CPUDispatcher
    from numba.core.sigutils import normalize_signature

    if "__init__" in vars(CPUDispatcher):  # enabled before
        return

    class SafeCache(FunctionCache):
        """A cache that neither gives a wrong function nor fails with its files."""

        def __init__(self, py_func: Any, version: str) -> None:
            super().__init__(py_func)  # type: ignore[no-untyped-call]
            # Numba would go on with the file names of an earlier version, and does not see changes
            # of functions in other files that this one calls
            stamp = self._impl.locator.get_source_stamp()
            content = hashlib.sha256(repr((stamp, version)).encode()).hexdigest()[:16]
            self._cache_file = IndexDataCacheFile(  # type: ignore[no-untyped-call]
                self._cache_path, f"{self._impl.filename_base}-{content}", stamp
            )

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                found = super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
                # two processes that save at once may take the same name for their files
                wanted, _ = normalize_signature(sig)  # type: ignore[no-untyped-call]
                if found is not None and tuple(found.signature.args) != tuple(wanted):
                    raise ValueError(f"for {found.signature.args} instead of {wanted}")
                return found
            except Exception as error:  # whatever a damaged file causes
                logger.debug("a compiled function could not be read: %r", error)
                with suppress(OSError):  # else nothing could be saved any more
                    Path(self._cache_file._index_path).unlink(missing_ok=True)
                return None

        def save_overload(self, sig: Any, data: Any) -> None:
            try:
                super().save_overload(sig, data)  # type: ignore[no-untyped-call]
            except Exception as error:  # of a full disk, above all
                logger.debug("a compiled function could not be saved: %r", error)

    declare = CPUDispatcher.__init__

    @functools.wraps(declare)
    def declare_cached(self: Any, py_func: Any, *args: Any, **kwargs: Any) -> None:
        declare(self, py_func, *args, **kwargs)
        version = _released_version((py_func.__module__ or "").partition(".")[0])
        if version is not None:
            with suppress(OSError, RuntimeError):  # no folder can be written to
                self._cache = SafeCache(py_func, version)

    CPUDispatcher.__init__ = declare_cached  # type: ignore[method-assign]


@functools.cache
def _released_version(package: str) -> str | None:
    """Return the version of one of `PACKAGES`, None if it does not say what is in the package."""
    if package not in PACKAGES:
        return None
    try:
        installed = Distribution.from_name(package)
    except PackageNotFoundError:
        return None
    return None if installed.read_text("direct_url.json") else installed.version


def has_instructions(cpuinfo: Path = CPUINFO) -> bool:
    """Return whether this machine can run what was compiled for `IMAGE_TARGET`."""
    with suppress(OSError):
        for line in cpuinfo.read_text().splitlines():
            name, _, values = line.partition(":")
            if name.strip() == "flags":
                return set(values.split()) >= INSTRUCTIONS
    return False
