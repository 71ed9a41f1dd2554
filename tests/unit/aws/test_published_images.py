"""`infra up --image`: which parameters of the template an image means, and what is no image."""

from __future__ import annotations

import re

import pytest

from spikeinterface_cloud import __version__
from spikeinterface_cloud.aws.infra.published_images import image_parameters
from spikeinterface_cloud.aws.infra.template import ParameterError
from tests.support.template import TEMPLATE

NAME = "ghcr.io/lab/spikeinterface-cloud"
DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        ([NAME], {"GpuImage": f"{NAME}:{__version__}-gpu", "CpuImage": f"{NAME}:{__version__}"}),
        ([f"{NAME}:2.0"], {"GpuImage": f"{NAME}:2.0-gpu", "CpuImage": f"{NAME}:2.0"}),
        ([f"gpu={NAME}@{DIGEST}"], {"GpuImage": f"{NAME}@{DIGEST}"}),
        (
            [f"gpu={NAME}:2.0-gpu@{DIGEST}", "cpu=localhost:5000/sorting:latest"],
            {"GpuImage": f"{NAME}:2.0-gpu@{DIGEST}", "CpuImage": "localhost:5000/sorting:latest"},
        ),
    ],
)
def test_an_image_sets_the_parameters_of_the_template(
    given: list[str], parameters: dict[str, str]
) -> None:
    assert image_parameters(given, {}) == parameters
    for name, image in parameters.items():
        assert re.search(TEMPLATE["Parameters"][name]["AllowedPattern"], image)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["My Image"], "--image: 'My Image' is not an image of a registry; write it like ghcr.io/"),
        (["debian"], "is not an image of a registry"),
        ([f"tpu={NAME}"], "is not an image of a registry"),
        ([f"{NAME}@sha256:1"], "is not an image of a registry"),
        ([f"{NAME}@{DIGEST}"], "a digest is of one image; write gpu=ghcr.io/lab/spikeinterface-cl"),
        (
            [f"{NAME}:2.0-gpu"],
            "is the GPU image alone; write gpu=ghcr.io/lab/spikeinterface-cloud:",
        ),
        ([NAME, f"cpu={NAME}:2.0"], "CpuImage is given twice; give it once"),
    ],
)
def test_what_is_no_image_is_refused(given: list[str], message: str) -> None:
    with pytest.raises(ParameterError) as refused:
        image_parameters(given, {})
    assert message in str(refused.value)
    assert refused.value.exit_code == 2


def test_an_image_and_its_parameter_exclude_each_other() -> None:
    with pytest.raises(ParameterError, match="GpuImage is given twice"):
        image_parameters([NAME], {"GpuImage": ""})


@pytest.mark.parametrize("name", ["GpuImage", "CpuImage"])
@pytest.mark.parametrize(
    "image", [f"{NAME}:a b", "https://ghcr.io/lab/x", f"{NAME}@sha256:12", "UPPER/x"]
)
def test_the_template_takes_no_malformed_image(name: str, image: str) -> None:
    pattern = TEMPLATE["Parameters"][name]["AllowedPattern"]
    assert not re.search(pattern, image)
    assert re.search(pattern, "")
    assert re.search(
        pattern, f"123456789012.dkr.ecr.us-east-1.amazonaws.com/lab/sorting:{__version__}"
    )
