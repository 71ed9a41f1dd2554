"""The results of a job, read as a user does: from the bucket, with SpikeInterface."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import spikeinterface as si
from spikeinterface.comparison import compare_sorter_to_ground_truth

from spikeinterface_cloud.results.run_schema import RunJson

#: smallest accuracy of a true unit that counts as found
FOUND_ACCURACY = 0.8

#: extensions of every analyzer
EXTENSIONS = {
    "random_spikes",
    "waveforms",
    "templates",
    "noise_levels",
    "spike_amplitudes",
    "amplitude_scalings",
    "spike_locations",
    "unit_locations",
    "template_similarity",
    "correlograms",
    "isi_histograms",
    "principal_components",
    "quality_metrics",
}


def read_record(results: Path) -> dict[str, Any]:
    """Return the content of `run.json` after validating it."""
    text = (results / "run.json").read_text()
    RunJson.model_validate_json(text)
    content: dict[str, Any] = json.loads(text)
    return content


def upload(client: Any, path: Path, bucket: str, key: str) -> None:
    """Upload a file, or every file of a folder below `key`."""
    if path.is_file():
        client.upload_file(str(path), bucket, key)
    else:
        upload_folder(client, path, bucket, key)


def upload_folder(client: Any, folder: Path, bucket: str, prefix: str) -> None:
    """Upload every file of `folder` to the bucket, below `prefix`."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            key = f"{prefix}/{file.relative_to(folder).as_posix()}"
            client.upload_file(str(file), bucket, key)


def download_folder(client: Any, bucket: str, prefix: str, folder: Path) -> Path:
    """Download every object below `prefix` with boto3; return the folder."""
    for key in keys_below(client, bucket, prefix):
        file = folder / key.removeprefix(f"{prefix}/")
        file.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, str(file))
    return folder


def keys_below(client: Any, bucket: str, prefix: str) -> list[str]:
    """Return the keys of all objects below `prefix`."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def n_true_units_found(results: Path, sorter: str, truth: si.BaseSorting) -> int:
    """Count the true units that the sorting in `results` has with an accuracy of 0.8 or more."""
    comparison = compare_sorter_to_ground_truth(
        truth, si.load(results / sorter / "sorting"), exhaustive_gt=True
    )
    performance = comparison.get_performance(method="by_unit", output="pandas")
    return int((performance["accuracy"].astype(float) >= FOUND_ACCURACY).sum())


def assert_complete(results: Path, sorters: Sequence[str]) -> None:
    """Assert that all results are there, and that SpikeInterface opens its own."""
    read_record(results)
    assert (results / "run.log").is_file()
    report = (results / "report.html").read_text()
    for sorter in sorters:
        assert f"<h2>{sorter}</h2>" in report
    assert report.count('class="sortable"') == len(sorters)
    for sorter in sorters:
        sorting = si.load(results / sorter / "sorting")
        analyzer = si.load_sorting_analyzer(results / sorter / "analyzer.zarr")
        assert set(analyzer.get_loaded_extension_names()) >= EXTENSIONS
        assert list(analyzer.unit_ids) == list(sorting.unit_ids)
        metrics = (results / sorter / "quality_metrics.csv").read_text().splitlines()
        labels = (results / sorter / "unit_labels.csv").read_text().splitlines()
        assert len(metrics) == len(labels) == 1 + sorting.get_num_units() > 1
        assert (results / sorter / "sorter_log.json").is_file()
        assert (results / sorter / "output.log").is_file()
    if len(sorters) > 1:
        for table in ("agreement", "agreement_matrix", "consensus_units"):
            assert (results / "comparison" / f"{table}.csv").is_file()
        si.load(results / "comparison" / "consensus")


def files_with(folder: Path, secret: str) -> list[Path]:
    """Return the files of `folder` that contain `secret`."""
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and secret.encode() in file.read_bytes()
    ]
