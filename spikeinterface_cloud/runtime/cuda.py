"""Why torch finds no GPU: the driver of the host, and the CUDA that this image's torch needs."""

import ctypes

from spikeinterface_cloud.runtime.host import CUDA_DRIVER

#: (major, minor)
CudaVersion = tuple[int, int]


def cuda_of_driver(library: str = CUDA_DRIVER) -> CudaVersion | None:
    """Return the newest CUDA version that the driver supports, or None without a driver."""
    version = ctypes.c_int()
    try:
        failed = ctypes.CDLL(library).cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return None if failed else (version.value // 1000, version.value % 1000 // 10)


def cuda_of_torch() -> CudaVersion | None:
    """Return the CUDA version of torch, or None."""
    try:
        import torch
    except ImportError:
        return None
    if torch.version.cuda is None:
        return None
    major, minor = torch.version.cuda.split(".")[:2]
    return int(major), int(minor)


def explain_missing_gpu(driver: CudaVersion | None, torch: CudaVersion | None) -> str:
    """Return why there is no CUDA device, from the versions of driver and torch.

    >>> explain_missing_gpu((12, 2), (13, 0))
    'no CUDA device here, as the NVIDIA driver is too old: it runs CUDA 12.2, torch needs 13.0'
    >>> explain_missing_gpu(None, (13, 0))
    'no CUDA device here, as there is no NVIDIA driver'
    >>> explain_missing_gpu((13, 0), None)
    'no CUDA device here, as this image has no torch that uses one'
    >>> explain_missing_gpu((13, 0), (13, 0))
    'no CUDA device here, though the NVIDIA driver is'
    """
    nothing = "no CUDA device here"
    if driver is None:
        return f"{nothing}, as there is no NVIDIA driver"
    if torch is None:
        return f"{nothing}, as this image has no torch that uses one"
    if driver < torch:
        return (
            f"{nothing}, as the NVIDIA driver is too old: it runs CUDA {driver[0]}.{driver[1]}, "
            f"torch needs {torch[0]}.{torch[1]}"
        )
    return f"{nothing}, though the NVIDIA driver is"
