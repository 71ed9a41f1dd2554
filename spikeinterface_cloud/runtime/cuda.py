"""The GPU that sorters can use, or why there is none: driver, CUDA and kernels of torch."""

import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

#: NVIDIA's own library, which comes with the driver of the host
CUDA_DRIVER = "libcuda.so.1"

#: the remedy where there is no GPU
USE_A_GPU = "run the GPU image on a GPU instance (docker run --gpus all ...)"

#: (major, minor)
CudaVersion = tuple[int, int]

#: of a GPU, (major, minor)
Capability = tuple[int, int]

#: an architecture that torch was compiled for: machine code (sm) or NVIDIA's portable code
#: (compute); with `a`, for this very architecture
ARCHITECTURE = re.compile(r"(sm|compute)_([0-9]+)([0-9])([af]?)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """A CUDA device that torch can use."""

    name: str
    memory_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NoGpu:
    """Why torch can use no CUDA device, and what to do."""

    reason: str
    remedy: str = USE_A_GPU


class Properties(Protocol):
    """What torch says of a CUDA device."""

    name: str
    total_memory: int
    major: int
    minor: int


class TorchCuda(Protocol):
    """The functions of `torch.cuda` that describe devices."""

    def is_available(self) -> bool:
        """Return whether there is a device."""

    def device_count(self) -> int:
        """Return the number of devices."""

    def get_device_properties(self, device: int) -> Properties:
        """Return name, memory and capability of a device."""

    def get_arch_list(self) -> list[str]:
        """Return the architectures that torch was compiled for."""


def find_gpu(index: int = 0) -> Gpu | NoGpu:
    """Return the CUDA device that a sorter would use, or why it cannot.

    Parameters
    ----------
    index
        as torch counts them
    """
    driver = cuda_of_driver()
    if driver is None:  # torch finds no device either, after seconds of importing
        return NoGpu(reason=explain_missing_gpu(None, None))
    try:
        import torch
    except (OSError, ImportError):
        return NoGpu(reason=explain_missing_gpu(driver, None))
    return describe_gpu(torch.cuda, index) or NoGpu(
        reason=explain_missing_gpu(driver, cuda_of_torch())
    )


def describe_gpu(cuda: TorchCuda, index: int) -> Gpu | NoGpu | None:
    """Return a device, or why it cannot be used; None if torch finds no device at all."""
    try:
        if not cuda.is_available():
            return None
        n_devices = cuda.device_count()
        if index >= n_devices:
            return NoGpu(
                reason=f"there is no cuda:{index} among the CUDA devices here, {n_devices} in all",
                remedy=f"set torch_device to cuda, or to one up to cuda:{n_devices - 1}",
            )
        properties = cuda.get_device_properties(index)
        architectures = cuda.get_arch_list()
    except Exception as error:  # torch raises several, one of them an Exception itself
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return NoGpu(
            reason=f"the CUDA device here does not work: {said}",
            remedy="restart this machine, or run the job on another",
        )
    capability = (properties.major, properties.minor)
    if not has_kernels(capability, architectures):
        return _without_kernels(properties.name, capability, architectures)
    return Gpu(name=properties.name, memory_bytes=properties.total_memory)


def has_kernels(capability: Capability, architectures: Sequence[str]) -> bool:
    """Return whether a GPU runs code for one of the architectures; if none is known, it may.

    Machine code runs on GPUs of the same major version, from its minor version on; portable code on
    every later one.

    >>> has_kernels((7, 0), ["sm_75", "sm_80", "sm_90"])
    False
    >>> has_kernels((8, 9), ["sm_75", "sm_80", "sm_90"])
    True
    >>> has_kernels((12, 0), ["sm_90", "compute_90"])
    True
    """
    known = list(_parse(architectures))
    return not known or any(
        capability == built
        if only_this
        else capability >= built and (is_portable or capability[0] == built[0])
        for built, is_portable, only_this in known
    )


def _parse(architectures: Sequence[str]) -> Iterator[tuple[Capability, bool, bool]]:
    for text in architectures:
        if found := ARCHITECTURE.fullmatch(text):
            kind, major, minor, suffix = found.groups()
            yield (int(major), int(minor)), kind == "compute", suffix == "a"


def _without_kernels(name: str, capability: Capability, architectures: Sequence[str]) -> NoGpu:
    built = sorted({built for built, _, _ in _parse(architectures)})
    known = ", ".join(map(_text, built))
    oldest = f"a GPU of compute capability {_text(built[0])} or later"
    wanted = oldest if capability < built[0] else "an older GPU"
    return NoGpu(
        reason=f"the {name} here has compute capability {_text(capability)}, and the torch of this "
        f"image is for {known}",
        remedy=f"use {wanted}, or build the image with another TORCH_INDEX",
    )


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


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
            f"{nothing}, as the NVIDIA driver is too old: it runs CUDA {_text(driver)}, "
            f"torch needs {_text(torch)}"
        )
    return f"{nothing}, though the NVIDIA driver is"
