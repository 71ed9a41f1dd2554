"""The card, its driver, and the versions that decide a result: JSON on standard output.

    python benchmarks/gpu_machine.py

A process of its own: torch keeps some memory of the card as long as a process lives that asked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from gpu_usage import NVIDIA_SMI  # noqa: E402

from spikeinterface_cloud.results.run_record import versions  # noqa: E402
from spikeinterface_cloud.runtime.cuda import (  # noqa: E402
    NoGpu,
    cuda_of_driver,
    cuda_of_torch,
    find_gpu,
)
from spikeinterface_cloud.runtime.host import describe_machine  # noqa: E402


def describe() -> dict[str, Any]:
    """Return the figures of the machine, of its first card, and the versions."""
    found, gpu = describe_machine(), find_gpu()
    card = None
    if found["gpu"] is not None:
        card = {**found["gpu"], "uuid": _uuid(), "driver": _driver_version()}
    return {
        **found,
        "gpu": card,
        "why_no_gpu": gpu.reason if isinstance(gpu, NoGpu) else None,
        "cuda_of_driver": _text(cuda_of_driver()),
        "cuda_of_torch": _text(cuda_of_torch()),
        "versions": versions(),
    }


def _uuid() -> str:
    import torch

    return f"GPU-{torch.cuda.get_device_properties(0).uuid}"


def _driver_version() -> str | None:
    command = [NVIDIA_SMI, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return finished.stdout.split()[0]


def _text(version: tuple[int, int] | None) -> str | None:
    return None if version is None else ".".join(map(str, version))


if __name__ == "__main__":
    print(json.dumps(describe()))
