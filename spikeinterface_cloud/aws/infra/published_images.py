"""`infra up --image`: published images instead of those in the stack's repository."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from spikeinterface_cloud import __version__
from spikeinterface_cloud.aws.infra.template import ParameterError

#: the template's parameter of each kind of image, and how the tag of a release ends
PARAMETERS: Mapping[str, tuple[str, str]] = {"gpu": ("GpuImage", "-gpu"), "cpu": ("CpuImage", "")}

#: an image, as the template's parameters take it
REFERENCE = re.compile(
    r"(?P<name>[a-z0-9.-]+(?::[0-9]+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,122}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)

EXAMPLE = f"ghcr.io/LAB/spikeinterface-cloud:{__version__}"


def image_parameters(given: Iterable[str], parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the template's parameters that the images mean, beside the given ones.

    `NAME[:TAG]` means both images of a release, `gpu=IMAGE` and `cpu=IMAGE` one of them.

    Raises
    ------
    ParameterError
        A text is no image, a digest does not say which image it is of, or an image is given twice.

    Examples
    --------
    >>> image_parameters(["ghcr.io/lab/sorting:1.0"], {})
    {'GpuImage': 'ghcr.io/lab/sorting:1.0-gpu', 'CpuImage': 'ghcr.io/lab/sorting:1.0'}
    >>> image_parameters(["cpu=ghcr.io/lab/sorting:1.0"], {})
    {'CpuImage': 'ghcr.io/lab/sorting:1.0'}
    """
    found: dict[str, str] = {}
    for text in given:
        for name, image in _meant(text).items():
            if name in found or name in parameters:
                raise ParameterError(f"--image: {name} is given twice; give it once")
            found[name] = image
    return found


def _meant(text: str) -> dict[str, str]:
    kind, sign, image = text.partition("=")
    if not sign:
        kind, image = "", text
    match = REFERENCE.fullmatch(image)
    if match is None or (kind and kind not in PARAMETERS):
        raise ParameterError(
            f"--image: {text!r} is not an image of a registry; write it like {EXAMPLE}, or like "
            "gpu=ghcr.io/LAB/spikeinterface-cloud@sha256:DIGEST for one of the two"
        )
    if kind:
        return {PARAMETERS[kind][0]: image}
    if match["digest"]:
        raise ParameterError(f"--image: a digest is of one image; write gpu={image} or cpu={image}")
    tag = match["tag"] or __version__
    if tag.endswith("-gpu"):
        raise ParameterError(
            f"--image: {text} is the GPU image alone; write gpu={text}, or leave out -gpu for both"
        )
    return {
        parameter: f"{match['name']}:{tag}{suffix}" for parameter, suffix in PARAMETERS.values()
    }
