"""What this machine, or the container on it, really lets the job use: CPUs, memory, disk, GPU.

Inside a container the host's figures are wrong; the control group's are right.
"""

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikeinterface_cloud.runtime.cuda import Gpu, find_gpu

#: Python with SpikeInterface, and what each worker holds besides
BASE_MEMORY_BYTES = 1024**3
WORKER_MEMORY_BYTES = 512 * 1024**2

CONTROL_GROUP = Path("/sys/fs/cgroup")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 -- its size is read, nothing is written there


def boot_id() -> str:
    """Return the identifier of this boot; data not on disk is lost at the next one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def usable_cpus(control_group: Path = CONTROL_GROUP) -> int:
    """Return the CPUs that this process may use: its affinity, within the control group's quota."""
    cpus = len(os.sched_getaffinity(0))
    quota = _cpu_quota(control_group)
    return cpus if quota is None else max(1, min(cpus, int(quota)))


def _cpu_quota(control_group: Path) -> float | None:
    unified = _read_words(control_group / "cpu.max")
    if len(unified) == 2 and unified[0] != "max":
        return int(unified[0]) / int(unified[1])
    quota = _read_words(control_group / "cpu" / "cpu.cfs_quota_us")
    period = _read_words(control_group / "cpu" / "cpu.cfs_period_us")
    if quota and period and int(quota[0]) > 0:
        return int(quota[0]) / int(period[0])
    return None


def usable_memory_bytes(control_group: Path = CONTROL_GROUP) -> int:
    """Return the memory that this process may use, within the container's limit."""
    memory = physical_memory_bytes()
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        words = _read_words(control_group / limit)
        if words and words[0] != "max":
            memory = min(memory, int(words[0]))
    return memory


def physical_memory_bytes() -> int:
    """Return the memory of the machine, of which a container may have a part."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def workers(n_jobs: int | None, control_group: Path = CONTROL_GROUP) -> int:
    """Return the number of worker processes: `n_jobs`, or the CPUs, as far as memory allows."""
    if n_jobs:
        return n_jobs
    left = usable_memory_bytes(control_group) - BASE_MEMORY_BYTES
    return max(1, min(usable_cpus(control_group), left // WORKER_MEMORY_BYTES))


def shared_memory_bytes() -> int:
    """Return the size of `/dev/shm`, 64 MiB by default in a container."""
    return shutil.disk_usage(SHARED_MEMORY).total if SHARED_MEMORY.is_dir() else 0


def free_disk_bytes(folder: Path) -> int:
    """Return the free space on the disk of `folder`, which need not exist."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def describe_machine() -> dict[str, Any]:
    """Return the figures of this machine for `run.json`."""
    gpu = find_gpu()
    return {
        "cpus": usable_cpus(),
        "memory_bytes": usable_memory_bytes(),
        "shared_memory_bytes": shared_memory_bytes(),
        "gpu": asdict(gpu) if isinstance(gpu, Gpu) else None,
    }


def peak_memory_bytes() -> int:
    """Return the peak memory of this process."""
    import resource  # not on Windows, where `estimate` imports this module

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _read_words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
