"""The filters that sorters apply themselves: their frequencies against the sampling rate."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spikeinterface_cloud.config.catalog.frequency_bands import Chosen, band_problems, lowered_bands
from spikeinterface_cloud.config.catalog.step_bands import step_band_problems

#: parameters that switch a sorter's own filter off when they are false
FILTER_SWITCHES = ("apply_preprocessing", "filter")

#: the parameter with preprocessing steps that replace a sorter's own filter
OWN_STEPS = "preprocessing_dict"

#: sorters that, asked to correct motion, filter up to a frequency that no parameter changes, in Hz
MOTION_BAND_HZ = {"lupin": 6000.0, "tridesclous2": 6000.0}


def sorter_band_problems(
    sorter: str,
    given: Mapping[str, Any],
    defaults: Mapping[str, Any],
    rate_hz: float | None = None,
) -> Iterator[str]:
    """Yield a line for each problem with the frequencies among a sorter's parameters.

    If the sampling rate is unknown (None), only a band that fits no recording is a problem.
    """
    where = f"SORTERS_KWARGS: {sorter}: "
    if not _filters(given):
        return
    if given.get(OWN_STEPS):
        steps = _steps(given[OWN_STEPS])
        yield from step_band_problems(f"{where}{OWN_STEPS}: ", steps, rate_hz)
        return
    for prefix, own, usual in _objects(given, defaults):
        yield from band_problems(f"{where}{prefix}", own, usual, rate_hz)
    if rate_hz is not None and given.get("apply_motion_correction"):
        yield from _motion_problems(where, MOTION_BAND_HZ.get(sorter, 0.0), rate_hz)


def fitting_bands(
    given: Mapping[str, Any], defaults: Mapping[str, Any], rate_hz: float
) -> dict[str, Chosen]:
    """Return the upper band ends that were not given and are lowered to fit the rate, by name.

    A name inside an object among the parameters is written `object.name`.
    """
    if not _filters(given) or given.get(OWN_STEPS):
        return {}
    return {
        f"{prefix}{name}": chosen
        for prefix, own, usual in _objects(given, defaults)
        for name, chosen in lowered_bands(own, usual, rate_hz).items()
    }


def _filters(given: Mapping[str, Any]) -> bool:
    return all(given.get(switch) is not False for switch in FILTER_SWITCHES)


def _objects(
    given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield the parameters, then each object among them: prefix, given values, defaults."""
    yield "", given, defaults
    for name, default in defaults.items():
        own = given.get(name, {})
        if isinstance(default, dict) and isinstance(own, Mapping):
            yield f"{name}.", own, default


def _steps(pipeline: Any) -> Sequence[Mapping[str, Any]]:
    """Return the steps of a pipeline in either form; anything else is skipped."""
    if isinstance(pipeline, Mapping):
        return [{"name": name, "params": params or {}} for name, params in pipeline.items()]
    steps = pipeline if isinstance(pipeline, list) else []
    return [
        {"name": step["name"], "params": step.get("params") or {}}
        for step in steps
        if isinstance(step, Mapping) and "name" in step
    ]


def _motion_problems(where: str, highest_hz: float, rate_hz: float) -> Iterator[str]:
    if highest_hz >= rate_hz / 2:
        yield (
            f"{where}apply_motion_correction filters up to {highest_hz:g} Hz, and a recording "
            f"sampled at {rate_hz:g} Hz holds frequencies below {rate_hz / 2:g} Hz only; leave it "
            "out"
        )
