"""The clients of zarr_open.py, each in a process of its own.

python benchmarks/zarr_open_clients.py ours|s3fs ENDPOINT BUCKET/KEY FOLDER

Each prints the seconds without imports, by the clock and of CPU, and a digest of the samples.
"""

from __future__ import annotations

import gc
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: a second, the least that a job sorts
N_FRAMES = 30_000


def open_by_ours(url: str, path: str, folder: Path) -> Callable[[], Any]:
    """Return what a job does that wants the first frames of a store."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import zarr.storage

    zarr.storage.normalize_store_arg(folder)  # it imports fsspec

    from spikeinterface_cloud.config.locations import parse_s3
    from spikeinterface_cloud.config.settings import AwsSettings, DandiAccess
    from spikeinterface_cloud.recording.open import open_source
    from spikeinterface_cloud.recording.source import SourceRequest, fetch_source, find_source

    request = SourceRequest(
        location=parse_s3(f"s3://{path}", None),
        data_type="zarr",
        read_recording_kwargs={},
        probe_file=None,
        n_frames=N_FRAMES,
    )

    gc.freeze()  # as a job does before it opens anything

    def first_trace() -> Any:
        found = find_source(request, AwsSettings(endpoint_url=url), DandiAccess())
        opened = open_source(fetch_source(found, folder), "zarr", {}, N_FRAMES)
        return opened.recording.get_traces()

    return first_trace


def open_by_s3fs(url: str, path: str, _: Path) -> Callable[[], Any]:
    """Return what one does with zarr alone."""
    import s3fs  # type: ignore[import-not-found]  # in an environment of its own
    import zarr

    def first_trace() -> Any:
        files = s3fs.S3FileSystem(endpoint_url=url)
        return zarr.open_consolidated(files.get_mapper(path), mode="r")["traces_seg0"][:N_FRAMES]

    return first_trace


def main(client: str, url: str, path: str, folder: str) -> None:
    """Let one client open the store."""
    prepare = open_by_ours if client == "ours" else open_by_s3fs
    first_trace = prepare(url, path, Path(folder))
    started, started_cpu = time.monotonic(), time.process_time()
    traces = first_trace()
    wall_s, cpu_s = time.monotonic() - started, time.process_time() - started_cpu
    digest = hashlib.sha256(traces.tobytes()).hexdigest()
    sys.stdout.write(f"{wall_s:.3f} {cpu_s:.3f} {digest}")


if __name__ == "__main__":
    main(*sys.argv[1:])
