"""Values that Kilosort4's parameters cannot have, alone, together, or with PREPROCESSING."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: the values of `torch_device`, with the number of a CUDA device
DEVICE = re.compile(r"auto|cpu|cuda(?::(0|[1-9][0-9]?))?")

#: a filter and whitening instead of Kilosort4's own
WHITENED = '{"highpass_filter": {"freq_min": 300}, "whiten": {"dtype": "float32"}}'


def kilosort4_problems(parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each problem with the values of Kilosort4's parameters."""
    where = "SORTERS_KWARGS: kilosort4:"
    device = parameters.get("torch_device")
    if isinstance(device, str) and not DEVICE.fullmatch(device):
        yield f'{where} torch_device is "{device}"; it takes auto, cpu, cuda, or one like cuda:1'
    if parameters.get("skip_kilosort_preprocessing"):
        for name in ("nblocks", "do_correction"):
            if parameters.get(name):
                yield (
                    f"{where} {name} has no effect with skip_kilosort_preprocessing, as drift is "
                    "corrected together with Kilosort4's own whitening; leave one of them out"
                )


def whitening_problems(
    sorters_kwargs: Mapping[str, Mapping[str, Any]], steps: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Yield a line if Kilosort4 would read samples that are not whitened.

    Its thresholds and templates are in units of whitened noise: in others it finds noise, or
    nothing.

    Parameters
    ----------
    sorters_kwargs
        the given parameters by sorter
    steps
        of PREPROCESSING, each with its name and parameters; none for `default` and `none`
    """
    parameters = sorters_kwargs.get("kilosort4", {})
    if not parameters.get("skip_kilosort_preprocessing"):
        return
    where = "SORTERS_KWARGS: kilosort4: skip_kilosort_preprocessing"
    whitenings = [step["params"] for step in steps if step["name"] == "whiten"]
    if not whitenings:
        yield (
            f"{where} leaves out the whitening, in whose units its thresholds are; leave it out, "
            f"or whiten instead: PREPROCESSING='{WHITENED}'"
        )
    scaled = [each for each in whitenings if isinstance(each, Mapping) and each.get("int_scale")]
    if scaled and "scale" not in parameters:
        yield (
            f"{where} needs samples in units of whitened noise, which int_scale of whiten "
            'changes; give whiten {"dtype": "float32"} instead'
        )


def cuda_index(parameters: Mapping[str, Any]) -> int:
    """Return the number of the CUDA device that Kilosort4's parameters name, 0 if they name none.

    >>> cuda_index({"torch_device": "cuda:1"}), cuda_index({"torch_device": "auto"})
    (1, 0)
    """
    named = DEVICE.fullmatch(str(parameters.get("torch_device")))
    return int(named[1] or 0) if named else 0
