"""One sorter, in a process of its own: `python -m spikeinterface_cloud.sorting.worker REQUEST`.

A process of its own gives its memory and its GPU back when it ends, can be stopped at any moment,
and, should the kernel kill it for its memory, leaves the job and what other sorters found alive.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikeinterface_cloud.runtime.host import peak_memory_bytes
from spikeinterface_cloud.runtime.numba_cache import enable_numba_cache
from spikeinterface_cloud.sorting.random_numbers import SEED, seed_random_numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class SorterRequest:
    """The task of the process, plain JSON in a file."""

    sorter: str
    #: the recording, as SpikeInterface dumps it
    recording_file: str
    #: where SpikeInterface puts the sorter's own files
    folder: str
    parameters: dict[str, Any]
    n_jobs: int
    #: where the process leaves its figures
    usage_file: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SorterUsage:
    """The peak memory of the process."""

    peak_memory_bytes: int
    #: None where the sorter did not use torch on a GPU
    peak_gpu_memory_bytes: int | None


def exit_with_parent() -> None:
    """Kill this process group when the job is killed, whose end of standard input closes then.

    A process watches it: a thread would wait for a sorter whose compiled code keeps the GIL.
    """
    if os.fork() == 0:
        sys.stdin.buffer.read()
        os.killpg(0, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())


def main(request_file: Path) -> None:
    """Run the sorter that `request_file` describes."""
    request = SorterRequest(**json.loads(request_file.read_text()))
    enable_numba_cache()
    seed = request.parameters.get("seed", SEED)
    if seed is not None:  # others in each run, if the user sets null
        seed_random_numbers(seed)
    import spikeinterface as si
    from spikeinterface.sorters import run_sorter

    si.set_global_job_kwargs(n_jobs=request.n_jobs, chunk_duration="1s", progress_bar=False)
    try:
        run_sorter(
            request.sorter,
            si.load(Path(request.recording_file)),
            folder=request.folder,
            remove_existing_folder=True,
            verbose=True,
            with_output=False,
            **request.parameters,
        )
    finally:
        usage = SorterUsage(
            peak_memory_bytes=peak_memory_bytes(), peak_gpu_memory_bytes=_peak_gpu_memory_bytes()
        )
        with suppress(OSError):  # a full disk: the result counts, and these figures do not
            Path(request.usage_file).write_text(json.dumps(asdict(usage)))


def _peak_gpu_memory_bytes() -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return int(torch.cuda.max_memory_allocated())


if __name__ == "__main__":
    exit_with_parent()
    main(Path(sys.argv[1]))
