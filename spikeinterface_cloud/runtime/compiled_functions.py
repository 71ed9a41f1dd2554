"""Keep the functions that Numba compiles, in the image and from one process to the next.

SpikeInterface's and Kilosort4's functions are declared without a cache, so that every process would
compile those that it uses: 10 to 35 s of CPU, about half of a short job.
"""

import functools
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

#: packages whose functions are kept
PACKAGES = ("spikeinterface", "kilosort")

#: compiled when the image was built, for every machine that has these instructions
IN_IMAGE = Path("/opt/compiled-functions")
CPU = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""}
INSTRUCTIONS = {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}

CPUINFO = Path("/proc/cpuinfo")


def use_functions_of_image(folder: Path = IN_IMAGE, cpuinfo: Path = CPUINFO) -> None:
    """Let this process and its children take what was compiled when the image was built.

    To be called before Numba is imported. Nothing happens outside of an image, or on a machine
    that lacks the instructions: then the functions are compiled for it.
    """
    cache = os.environ.get("NUMBA_CACHE_DIR")
    if not folder.is_dir() or cache is None or not has_instructions(cpuinfo):
        return
    os.environ.update({**CPU, **_chosen(os.environ)})
    # a copy, as Numba reads only where it may write
    with suppress(OSError):  # without it, everything is compiled
        if not Path(cache).exists():
            Path(cache).parent.mkdir(parents=True, exist_ok=True)
            copy = Path(tempfile.mkdtemp(dir=Path(cache).parent))
            shutil.copytree(folder, copy, dirs_exist_ok=True)
            copy.rename(cache)


def keep_compiled_functions() -> None:
    """Let Numba keep the functions of `PACKAGES` that are declared from now on.

    They are kept in NUMBA_CACHE_DIR, or beside their modules, or in the user's folder of caches;
    if none of these can be written to, they are compiled as without this. A file that is damaged
    is not used, and no error of the disk ends a job.
    """
    from numba.core.caching import FunctionCache
    from numba.core.dispatcher import Dispatcher

    class Kept(FunctionCache):
        def _index_key(self, sig: Any, codegen: Any) -> Any:
            # Numba sees changes of the function's own file, not of those whose functions it calls
            package = self._py_func.__module__.partition(".")[0]
            return (*super()._index_key(sig, codegen), version(package))  # type: ignore[no-untyped-call]

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
            except Exception as error:  # whatever a damaged file causes
                logger.debug("a compiled function could not be read: %r", error)
                return None

        def save_overload(self, sig: Any, data: Any) -> None:
            try:
                super().save_overload(sig, data)  # type: ignore[no-untyped-call]
            except Exception as error:  # of a full disk, or an index that is damaged
                logger.debug("a compiled function could not be kept: %r", error)

    declare = Dispatcher.__init__

    @functools.wraps(declare)
    def declare_kept(self: Any, py_func: Any, *args: Any, **kwargs: Any) -> None:
        declare(self, py_func, *args, **kwargs)
        if py_func.__module__.partition(".")[0] in PACKAGES:
            with suppress(RuntimeError):  # no folder can be written to
                self._cache = Kept(py_func)  # type: ignore[no-untyped-call]

    # Numba has no setting for it
    Dispatcher.__init__ = declare_kept  # type: ignore[method-assign]


def _chosen(environ: Mapping[str, str]) -> dict[str, str]:
    """Return those of the variables that the user has set."""
    return {name: environ[name] for name in CPU if name in environ}


def has_instructions(cpuinfo: Path = CPUINFO) -> bool:
    """Return whether this machine can run what was compiled for `CPU`."""
    with suppress(OSError):
        for line in cpuinfo.read_text().splitlines():
            name, _, values = line.partition(":")
            if name.strip() == "flags":
                return set(values.split()) >= INSTRUCTIONS
    return False
