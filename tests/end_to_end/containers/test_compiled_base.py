"""An image on a base with a compiled sorter has that sorter: `--build-arg BASE=...`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.containers.conftest import make
from tests.end_to_end.containers.containers import CLIENT, engine_command, run_container

pytestmark = [pytest.mark.integration, pytest.mark.docker]

BASE = "spikeinterface-cloud-tests-base"
IMAGE = "spikeinterface-cloud-tests-compiled"

#: as in SpikeInterface's images, the sorter is a program in a folder of its own
DOCKERFILE = """
FROM debian:bookworm-slim
RUN mkdir -p /usr/bin/mlrtapp \\
    && printf '#!/bin/sh\\n' > /usr/bin/mlrtapp/ks2_5_compiled \\
    && chmod 755 /usr/bin/mlrtapp/ks2_5_compiled
ENV PATH=/usr/bin/mlrtapp:$PATH
USER nobody
"""


@pytest.fixture(scope="module")
def compiled_image(built: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("base")
    subprocess.run(
        [CLIENT, "build", "--tag", BASE, "-"],
        input=DOCKERFILE,
        text=True,
        check=True,
        cwd=folder,
        capture_output=True,
    )
    make("image", f"IMAGE={IMAGE}", f"BASE={BASE}")
    yield IMAGE
    engine_command("image", "rm", "--force", IMAGE, BASE)


def test_the_sorter_of_the_base_is_there(compiled_image: str) -> None:
    program = (
        "from spikeinterface_cloud.sorting.availability import check_names\n"
        "check_names(['kilosort2_5', 'simple'])\n"
        "try:\n"
        "    check_names(['kilosort3'])\n"
        "except Exception as error:\n"
        "    print(error)\n"
    )
    done = run_container(compiled_image, "python", "-c", program)
    assert done.exit_code == 0, done.log
    assert "kilosort3 not installed in this image" in done.output
    assert "kilosort2_5" in done.output


def test_it_needs_a_gpu_which_the_check_misses(compiled_image: str) -> None:
    variables = {"TEST_WITH_TOY_RECORDING": "yes", "SORTERS": "kilosort2_5"}
    done = run_container(compiled_image, variables=variables)
    assert done.exit_code == 69, done.log
    assert "kilosort2_5: no CUDA device here, as there is no NVIDIA driver" in done.log
