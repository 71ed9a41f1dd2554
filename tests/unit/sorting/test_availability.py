"""Names, parameters and devices of sorters, as they are checked before any download."""

from typing import Any

import pytest
import spikeinterface.sorters as ss

from spikeinterface_cloud.config.catalog.snapshot import needs_gpu
from spikeinterface_cloud.errors import SettingsError, UnavailableError
from spikeinterface_cloud.runtime.cuda import Gpu, NoGpu
from spikeinterface_cloud.sorting.availability import (
    check_gpu,
    check_names,
    check_parameters,
    complete_parameters,
)


def test_the_sorters_of_the_image_are_accepted() -> None:
    check_names(["simple", "spykingcircus2", "tridesclous2", "lupin"])


def test_unknown_sorter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="did you mean spykingcircus2") as raised:
        check_names(["simple", "spykingcircus3"])
    assert "this image has" in str(raised.value)


def test_sorter_that_is_not_installed_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="herdingspikes not installed in this image"):
        check_names(["simple", "herdingspikes"])


def test_missing_compiled_sorter_names_its_base_image() -> None:
    with pytest.raises(UnavailableError) as raised:
        check_names(["kilosort2_5"])
    assert "--build-arg BASE=spikeinterface/kilosort2_5-compiled-base" in str(raised.value)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"detect_treshold": 5}, "simple has no parameter detect_treshold; did you mean detect_"),
        ({"detect_threshold": "5"}, 'simple: detect_threshold is "5"; it takes a number, like 5.0'),
        ({"apply_preprocessing": 1}, "it takes true or false, like true"),
        ({"freq_min": True}, "it takes a number"),
        ({"peak_sign": 3}, 'it takes a text, like "neg"'),
        ({"clusterer_kwargs": []}, "it takes an object"),
        ({"freq_min": None}, "simple: freq_min is null"),
    ],
)
def test_unknown_or_mistyped_parameter_is_refused(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        check_parameters({"simple": parameters})
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_mistyped_nested_parameter_is_refused() -> None:
    with pytest.raises(SettingsError, match=r'filtering\.freq_min is "low"'):
        check_parameters({"spykingcircus2": {"filtering": {"freq_min": "low"}}})


def test_every_wrong_parameter_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"no parameter a.*no parameter b"):
        check_parameters({"simple": {"a": 1, "b": 2}})


def test_good_parameters_are_accepted() -> None:
    check_parameters({"simple": {"freq_min": 300, "seed": 3, "job_kwargs": {"n_jobs": 2}}})


def test_only_the_name_check_reports_a_missing_sorter() -> None:
    check_parameters({"no_such_sorter": {"a": 1}})
    check_gpu(["no_such_sorter"], {}, NoGpu(reason="no driver"))


def test_kilosort4_needs_a_gpu_by_default() -> None:
    assert needs_gpu("kilosort4", {})
    assert needs_gpu("kilosort4", {"torch_device": "auto"})
    assert not needs_gpu("kilosort4", {"torch_device": "cpu"})
    assert needs_gpu("kilosort2_5", {})
    assert not needs_gpu("spykingcircus2", {})


def test_kilosort4_without_gpu_is_refused_with_remedy() -> None:
    nothing = NoGpu(reason="no driver", remedy="install it")
    with pytest.raises(UnavailableError, match='"torch_device": "cpu"') as raised:
        check_gpu(["simple", "kilosort4"], {}, nothing)
    assert raised.value.exit_code == 69
    assert str(raised.value).startswith("kilosort4: no driver; install it; to run it on the CPU")
    check_gpu(["kilosort4"], {"kilosort4": {"torch_device": "cpu"}}, nothing)
    check_gpu(["kilosort4"], {}, Gpu(name="T4", memory_bytes=16 * 1024**3))


def test_kilosort4_gets_an_explicit_device() -> None:
    pytest.importorskip("kilosort", reason="Kilosort4 has no parameters where it is not installed")
    assert complete_parameters("kilosort4", {}) == {"torch_device": "cuda"}
    assert complete_parameters("kilosort4", {"torch_device": "cpu"}) == {"torch_device": "cpu"}


def test_nested_parameters_are_merged_with_the_defaults() -> None:
    completed = complete_parameters("spykingcircus2", {"filtering": {"freq_min": 300}})
    assert completed["filtering"]["freq_min"] == 300
    assert completed["filtering"]["freq_max"] == 7000


@pytest.mark.parametrize("sorter", ["tridesclous2", "simple", "lupin"])
def test_sorter_without_default_seed_gets_one(sorter: str) -> None:
    assert ss.get_default_sorter_params(sorter)["seed"] is None
    assert complete_parameters(sorter, {}) == {"seed": 0}
    assert complete_parameters(sorter, {"seed": 7}) == {"seed": 7}


def test_default_seed_is_kept() -> None:
    assert "seed" not in complete_parameters("spykingcircus2", {})
