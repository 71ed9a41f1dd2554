"""Fallbacks for a sorter that runs out of memory.

Only Kilosort4 has any, as only it has settings that trade time for memory. Each fallback keeps the
changes of the ones before, and never changes a parameter that the user gave.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: how torch, its libraries on the GPU and numpy say that there was no memory for something
OUT_OF_MEMORY = re.compile(
    r"""
    OutOfMemoryError | CUDA\ out\ of\ memory | CUDA\ error:\ out\ of\ memory
    | DefaultCPUAllocator:\ (can't\ allocate|not\ enough)\ memory
    | CUFFT_ALLOC_FAILED | CUBLAS_STATUS_ALLOC_FAILED | CUSOLVER_STATUS_ALLOC_FAILED
    | CUDNN_STATUS_ALLOC_FAILED
    | \bMemoryError\b | _ArrayMemoryError
    """,
    re.VERBOSE,
)

#: where Kilosort4 holds all spikes of a place at once, however short its batches are
CLUSTERING = re.compile(r"kilosort/(clustering_qr|hierarchical|swarmsplitter)\.py")

#: samples in a batch: Kilosort4's own is 60,000, which are two seconds of most probes
SMALLER_BATCHES = (30_000, 15_000)

#: a parameter of Kilosort4 that speaks of all channels, and means something else within a group
OF_THE_WHOLE_PROBE = "x_centers"


@dataclass(frozen=True, kw_only=True, slots=True)
class OomFallback:
    """One set of parameters to try."""

    parameters: Mapping[str, Any]
    #: each shank, or group of channels, by itself
    by_group: bool = False
    #: the difference from the one before; empty in the first
    change: str = ""
    #: whether it only makes batches smaller, which does not help clustering
    smaller_batches: bool = False


def fallbacks(sorter: str, parameters: Mapping[str, Any], n_groups: int) -> list[OomFallback]:
    """Return the first try, and those that follow while memory runs out.

    Parameters
    ----------
    parameters
        given by the user, and never changed
    n_groups
        shanks, or groups of channels, of the recording

    >>> [each.change for each in fallbacks("kilosort4", {}, n_groups=4)]
    ['', 'clear_cache=true', 'batch_size=30000', 'batch_size=15000', 'each of 4 groups by itself']
    >>> [each.change for each in fallbacks("kilosort4", {"batch_size": 60000}, n_groups=1)]
    ['', 'clear_cache=true']
    >>> [each.change for each in fallbacks("spykingcircus2", {}, n_groups=4)]
    ['']
    """
    options = [OomFallback(parameters=parameters)]
    if sorter != "kilosort4":
        return options
    changed = dict(parameters)
    if "clear_cache" not in parameters:
        changed = {**changed, "clear_cache": True}
        options.append(OomFallback(parameters=changed, change="clear_cache=true"))
    if "batch_size" not in parameters:
        for size in SMALLER_BATCHES:
            changed = {**changed, "batch_size": size}
            change = f"batch_size={size}"
            options.append(OomFallback(parameters=changed, change=change, smaller_batches=True))
    if n_groups > 1 and OF_THE_WHOLE_PROBE not in parameters:
        change = f"each of {n_groups} groups by itself"
        options.append(OomFallback(parameters=changed, by_group=True, change=change))
    return options


def next_fallback(
    options: Sequence[OomFallback], failed: OomFallback, trace: str
) -> OomFallback | None:
    """Return the fallback to try after one that failed with `trace`, or None."""
    if out_of_memory(trace) is None:
        return None
    left = options[options.index(failed) + 1 :]
    if CLUSTERING.search(trace):
        left = [fallback for fallback in left if not fallback.smaller_batches]
    return next(iter(left), None)


def out_of_memory(trace: str) -> str | None:
    r"""Return the line of a traceback that reports a lack of memory, or None.

    >>> out_of_memory("Traceback ...\n  torch.OutOfMemoryError: CUDA out of memory. Tried ...")
    'torch.OutOfMemoryError: CUDA out of memory. Tried ...'
    >>> out_of_memory("ValueError: no channels")
    """
    lines = [line.strip() for line in trace.splitlines() if OUT_OF_MEMORY.search(line)]
    return lines[-1] if lines else None


def describe_kept_parameters(parameters: Mapping[str, Any]) -> str:
    """Return which memory parameters of Kilosort4 were given and therefore kept, for a message.

    >>> describe_kept_parameters({"torch_device": "cuda", "batch_size": 60000})
    '; batch_size was given and kept'
    """
    kept = [
        name
        for name in ("clear_cache", "batch_size", OF_THE_WHOLE_PROBE)
        if name in parameters and parameters[name] is not True
    ]
    verb = "was" if len(kept) == 1 else "were"
    return f"; {', '.join(kept)} {verb} given and kept" if kept else ""
