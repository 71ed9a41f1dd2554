"""Which settings Kilosort4 is tried again with, and after which errors."""

import pytest

from spikeinterface_cloud.sorting.oom_fallback import (
    describe_kept_parameters,
    fallbacks,
    next_fallback,
    out_of_memory,
)

GPU = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has ..."

#: as tracebacks end, of torch 2.13 and numpy 2.4 where they could be had, else as their sources say
MEMORY_ERRORS = [
    GPU,
    "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
    "torch.AcceleratorError: CUDA error: out of memory",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
    "allocate memory: you tried to allocate 104678400 bytes. Error code 12 (...)",
    "RuntimeError: cuFFT error: CUFFT_ALLOC_FAILED",
    "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "torch._C._LinAlgError: cusolver error: CUSOLVER_STATUS_ALLOC_FAILED",
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 2.00 GiB for an array",
    "MemoryError",
]

OTHER_ERRORS = [
    "ValueError: Found array with 0 sample(s) (shape=(0, 61)) while a minimum of 1 is required",
    "RuntimeError: CUDA error: device-side assert triggered",
    "RuntimeError: cuFFT error: CUFFT_INTERNAL_ERROR",
    "",
]

CLUSTERING = f'  File "/x/kilosort/clustering_qr.py", line 240, in kmeans_plusplus\n{GPU}'


@pytest.mark.parametrize("error", MEMORY_ERRORS)
def test_out_of_memory_is_recognized_in_tracebacks(error: str) -> None:
    trace = f"Traceback (most recent call last):\n  File ...\n  {error}\nCompile with ..."
    assert out_of_memory(trace) == error
    assert (
        next_fallback(fallbacks("kilosort4", {}, 1), fallbacks("kilosort4", {}, 1)[0], trace)
        is not None
    )


@pytest.mark.parametrize("error", OTHER_ERRORS)
def test_other_failures_are_not_retried(error: str) -> None:
    ladder = fallbacks("kilosort4", {}, n_groups=2)
    assert out_of_memory(error) is None
    assert next_fallback(ladder, ladder[0], error) is None


def test_fallbacks_accumulate_changes() -> None:
    given = {"torch_device": "cuda", "Th_universal": 8}
    ladder = fallbacks("kilosort4", given, n_groups=2)
    assert [(fallback.parameters, fallback.by_group) for fallback in ladder] == [
        (given, False),
        ({**given, "clear_cache": True}, False),
        ({**given, "clear_cache": True, "batch_size": 30_000}, False),
        ({**given, "clear_cache": True, "batch_size": 15_000}, False),
        ({**given, "clear_cache": True, "batch_size": 15_000}, True),
    ]


def test_given_parameters_are_kept() -> None:
    given = {"clear_cache": False, "batch_size": 90_000, "x_centers": 3}
    ladder = fallbacks("kilosort4", given, n_groups=2)
    assert [fallback.parameters for fallback in ladder] == [given]
    assert describe_kept_parameters(given) == (
        "; clear_cache, batch_size, x_centers were given and kept"
    )
    assert describe_kept_parameters({"clear_cache": True}) == ""


def test_smaller_batches_are_skipped_if_clustering_ran_out() -> None:
    ladder = fallbacks("kilosort4", {}, n_groups=2)
    after_cache = next_fallback(ladder, ladder[0], CLUSTERING)
    assert after_cache is ladder[1]
    assert next_fallback(ladder, ladder[1], CLUSTERING) is ladder[4]
    assert next_fallback(ladder, ladder[1], GPU) is ladder[2]


def test_fallbacks_are_finite() -> None:
    ladder = fallbacks("kilosort4", {}, n_groups=2)
    assert next_fallback(ladder, ladder[-1], GPU) is None


def test_other_sorters_have_no_fallbacks() -> None:
    [only] = fallbacks("spykingcircus2", {}, n_groups=4)
    assert next_fallback([only], only, GPU) is None
