"""The job as documented: `docker run`, with a recording on S3 and a mounted folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.containers.cloud import Cloud
from tests.end_to_end.containers.conftest import TARGET_BUCKET, Source
from tests.end_to_end.containers.containers import Finished, run_container
from tests.support.servers import SECRET_KEY
from tests.support.sorted_results import (
    assert_complete,
    download_folder,
    files_with,
    n_true_units_found,
    read_record,
)

pytestmark = [pytest.mark.integration, pytest.mark.sorting, pytest.mark.docker]

SORTERS = ["spykingcircus2"]

#: the user of the host whose folder is mounted
USER = 4321 if os.geteuid() == 0 else os.geteuid()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sorted:
    """A container that has ended, and its results on the host and on S3."""

    finished: Finished
    on_host: Path
    on_s3: Path
    #: what Numba keeps
    compiled: Path


@pytest.fixture(scope="module")
def sorted_run(
    image: str, cloud: Cloud, source: Source, tmp_path_factory: pytest.TempPathFactory
) -> Sorted:
    folder = tmp_path_factory.mktemp("container")
    results, cache = folder / "results", folder / "cache"
    for mounted in (results, cache):
        mounted.mkdir()
        os.chown(mounted, USER, -1)
    finished = run_container(
        image,
        variables=cloud.variables
        | source.variables
        | {
            "SORTERS": ",".join(SORTERS),
            "TARGET_AWS_S3_BUCKET": TARGET_BUCKET,
            "TARGET_AWS_S3_BUCKET_FOLDER": "mouse_g0",
            "NUMBA_CACHE_DIR": "/cache/numba",
        },
        options=[f"--volume={results}:/results", f"--volume={cache}:/cache"],
    )
    on_s3 = download_folder(cloud.server.client, TARGET_BUCKET, "mouse_g0", folder / "s3")
    return Sorted(finished=finished, on_host=results, on_s3=on_s3, compiled=cache / "numba")


def test_it_succeeds(sorted_run: Sorted) -> None:
    assert sorted_run.finished.exit_code == 0, sorted_run.finished.log
    assert " ERROR " not in sorted_run.finished.log
    record = read_record(sorted_run.on_host)
    assert record["status"] == "succeeded"


@pytest.mark.parametrize("place", ["on_host", "on_s3"])
def test_the_results_are_complete(sorted_run: Sorted, source: Source, place: str) -> None:
    results: Path = getattr(sorted_run, place)
    assert_complete(results, SORTERS)
    for sorter in SORTERS:
        assert n_true_units_found(results, sorter, source.simulated.truth) == 3


def test_it_compiles_nothing_that_the_image_has(sorted_run: Sorted, image: str) -> None:
    listing = run_container(image, "find", "/opt/numba-cache", "-name", "*.nbc")
    of_image = {Path(line).name for line in listing.output.splitlines()}
    assert len(of_image) > 20
    assert {file.name for file in sorted_run.compiled.rglob("*.nbc")} == of_image


def test_every_file_belongs_to_the_owner_of_the_folder(sorted_run: Sorted) -> None:
    paths = list(sorted_run.on_host.rglob("*"))
    assert len(paths) > 20
    assert {path.stat().st_uid for path in paths} == {USER}


def test_no_secret_is_published(sorted_run: Sorted) -> None:
    assert files_with(sorted_run.on_s3, SECRET_KEY) == []
    assert SECRET_KEY not in sorted_run.finished.log + sorted_run.finished.output
