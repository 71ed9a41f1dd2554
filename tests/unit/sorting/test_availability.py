"""Names, parameters and devices of sorters, as they are checked before any download."""

from typing import Any

import pytest
import spikeinterface.sorters as ss

from spikeinterface_cloud.config.catalog.snapshot import needs_gpu
from spikeinterface_cloud.errors import SettingsError, UnavailableError
from spikeinterface_cloud.runtime.host import Gpu
from spikeinterface_cloud.sorting.availability import (
    check_gpu,
    check_names,
    check_parameters,
    complete_parameters,
)


def test_the_sorters_of_the_image_are_accepted() -> None:
    check_names(["simple", "spykingcircus2", "tridesclous2", "lupin"])


def test_an_unknown_sorter_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="did you mean spykingcircus2") as raised:
        check_names(["simple", "spykingcircus3"])
    assert "this image has" in str(raised.value)


def test_a_known_sorter_that_is_not_installed_is_another_matter() -> None:
    with pytest.raises(UnavailableError, match="herdingspikes not installed in this image"):
        check_names(["simple", "herdingspikes"])


def test_a_compiled_sorter_that_is_not_here_comes_with_its_base() -> None:
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
def test_a_parameter_that_is_unknown_or_mistyped(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        check_parameters({"simple": parameters})
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_mistyped_parameter_inside_an_object() -> None:
    with pytest.raises(SettingsError, match=r'filtering\.freq_min is "low"'):
        check_parameters({"spykingcircus2": {"filtering": {"freq_min": "low"}}})


def test_every_wrong_parameter_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"no parameter a.*no parameter b"):
        check_parameters({"simple": {"a": 1, "b": 2}})


def test_good_parameters_are_accepted() -> None:
    check_parameters({"simple": {"freq_min": 300, "seed": 3, "job_kwargs": {"n_jobs": 2}}})


def test_only_the_check_of_names_speaks_of_a_sorter_that_is_not_there() -> None:
    check_parameters({"no_such_sorter": {"a": 1}})
    check_gpu(["no_such_sorter"], {}, gpu=None)


def test_kilosort4_needs_a_gpu_unless_it_is_told_otherwise() -> None:
    assert needs_gpu("kilosort4", {})
    assert needs_gpu("kilosort4", {"torch_device": "auto"})
    assert not needs_gpu("kilosort4", {"torch_device": "cpu"})
    assert needs_gpu("kilosort2_5", {})
    assert not needs_gpu("spykingcircus2", {})


def test_without_a_gpu_kilosort4_is_refused_with_the_way_out() -> None:
    with pytest.raises(UnavailableError, match='"torch_device": "cpu"') as raised:
        check_gpu(["simple", "kilosort4"], {}, gpu=None)
    assert raised.value.exit_code == 69
    check_gpu(["kilosort4"], {"kilosort4": {"torch_device": "cpu"}}, gpu=None)
    check_gpu(["kilosort4"], {}, gpu=Gpu(name="T4", memory_bytes=16 * 1024**3))


def test_kilosort4_is_told_its_device_so_that_it_cannot_fall_back() -> None:
    pytest.importorskip("kilosort", reason="Kilosort4 has no parameters where it is not installed")
    assert complete_parameters("kilosort4", {}) == {"torch_device": "cuda"}
    assert complete_parameters("kilosort4", {"torch_device": "cpu"}) == {"torch_device": "cpu"}


def test_an_object_replaces_only_the_entries_that_it_names() -> None:
    completed = complete_parameters("spykingcircus2", {"filtering": {"freq_min": 300}})
    assert completed["filtering"]["freq_min"] == 300
    assert completed["filtering"]["freq_max"] == 7000


@pytest.mark.parametrize("sorter", ["tridesclous2", "simple", "lupin"])
def test_a_sorter_that_would_draw_other_numbers_each_time_gets_a_seed(sorter: str) -> None:
    assert ss.get_default_sorter_params(sorter)["seed"] is None
    assert complete_parameters(sorter, {}) == {"seed": 0}
    assert complete_parameters(sorter, {"seed": 7}) == {"seed": 7}


def test_a_seed_of_the_sorters_own_is_left_to_it() -> None:
    assert "seed" not in complete_parameters("spykingcircus2", {})
