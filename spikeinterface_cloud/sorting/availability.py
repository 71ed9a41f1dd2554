"""Checks of sorters and their parameters against this image, before any download."""

from collections.abc import Mapping, Sequence
from typing import Any

import spikeinterface.sorters as ss
from spikeinterface.sorters.sorterlist import sorter_dict

from spikeinterface_cloud.config.catalog.kilosort4 import whitening_problems
from spikeinterface_cloud.config.catalog.snapshot import needs_gpu
from spikeinterface_cloud.config.catalog.validation import (
    as_steps,
    parameter_problems,
    unknown_sorter,
)
from spikeinterface_cloud.errors import SettingsError, UnavailableError
from spikeinterface_cloud.runtime.cuda import Gpu, NoGpu
from spikeinterface_cloud.sorting.random_numbers import SEED

#: SpikeInterface's images with MATLAB's run-time library and a sorter that was compiled for it
COMPILED_BASES = {
    sorter: f"spikeinterface/{sorter}-compiled-base"
    for sorter in ("kilosort2", "kilosort2_5", "kilosort3")
}


def are_installed(sorters: Sequence[str]) -> bool:
    """Return whether this image has all of these sorters."""
    return set(sorters) <= set(ss.installed_sorters())


def check_names(sorters: Sequence[str]) -> None:
    """Refuse a sorter that SpikeInterface does not know (78) or that this image lacks (69)."""
    known, installed = ss.available_sorters(), ss.installed_sorters()
    for name in sorters:
        if name not in known:
            raise SettingsError(
                f"{unknown_sorter(name, known, installed)}; this image has {', '.join(installed)}"
            )
    missing = [name for name in sorters if name not in installed]
    if missing:
        raise UnavailableError(
            f"SORTERS: {', '.join(missing)} not installed in this image, which has "
            f"{', '.join(installed)}; use one of those, or an image with the sorter"
            f"{''.join(map(_image_with, missing))}"
        )


def _image_with(sorter: str) -> str:
    if sorter == "kilosort4":
        return "; kilosort4 is in the GPU image (make image-gpu)"
    if sorter in COMPILED_BASES:
        return (
            f"; {sorter} comes with its compiled base "
            f"(docker build --build-arg BASE={COMPILED_BASES[sorter]} --file Dockerfile.gpu .)"
        )
    return ""


def check_parameters(
    sorters_kwargs: Mapping[str, Mapping[str, Any]],
    preprocessing: str | Sequence[Mapping[str, Any]] | Mapping[str, Any] = "default",
) -> None:
    """Refuse parameters that their sorter does not have, or with values that cannot work (78)."""
    installed = ss.installed_sorters()
    problems = [
        problem
        for sorter, parameters in sorters_kwargs.items()
        if sorter in installed  # check_names refuses the others; their parameters are not known
        for problem in parameter_problems(sorter, parameters, ss.get_default_sorter_params(sorter))
    ]
    problems += whitening_problems(sorters_kwargs, as_steps(preprocessing))
    if problems:
        raise SettingsError("; ".join(problems))


def check_gpu(
    sorters: Sequence[str],
    sorters_kwargs: Mapping[str, Mapping[str, Any]],
    gpu: Gpu | NoGpu,
) -> None:
    """Refuse a sorter that needs a GPU on a machine without one (69)."""
    needy = [name for name in sorters if needs_gpu(name, sorters_kwargs.get(name, {}))]
    if needy and isinstance(gpu, NoGpu):
        remedy = (
            '; to run it on the CPU, set SORTERS_KWARGS={"kilosort4": {"torch_device": "cpu"}}'
            if "kilosort4" in needy
            else ""
        )
        raise UnavailableError(f"{', '.join(needy)}: {gpu.reason}; {gpu.remedy}{remedy}")


def complete_parameters(sorter: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters for `run_sorter`, without choices that a sorter makes silently.

    An object within the parameters (like `filtering` of spykingcircus2) replaces only the entries
    that it names; Kilosort4's device is named, so that it cannot fall back to the CPU; a seed is
    given where the sorter has none by default (tridesclous2, simple, lupin), so that the same job
    with one worker finds the same units again.
    """
    defaults = ss.get_default_sorter_params(sorter)
    completed = {
        name: {**defaults[name], **value}
        if isinstance(value, dict) and isinstance(defaults[name], dict)
        else value
        for name, value in parameters.items()
    }
    if sorter == "kilosort4" and completed.get("torch_device", "auto") == "auto":
        completed["torch_device"] = "cuda"
    if "seed" in defaults and defaults["seed"] is None:
        completed.setdefault("seed", SEED)
    return completed


def sorter_version(sorter: str) -> str | None:
    """Return the version of an installed sorter, or None if it has none."""
    version = sorter_dict[sorter].get_sorter_version()
    return None if version is None else str(version)
