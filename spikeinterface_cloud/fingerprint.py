"""What decides the results of a job, in one digest: two runs with the same one are the same job.

The number of workers, the machine and the places of the results decide nothing; the bytes of the
recording, the settings, and the versions of what reads and sorts it do.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeinterface_cloud.preprocessing import filters_itself
from spikeinterface_cloud.run_record import versions
from spikeinterface_cloud.settings import JobSettings
from spikeinterface_cloud.sorters import complete_parameters, sorter_version
from spikeinterface_cloud.sources import FoundSource


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprints:
    """SHA-256 digests in hexadecimal."""

    #: of all that the job was asked for
    job: str
    #: of what decides the result of each sorter
    sorters: Mapping[str, str]


def fingerprints(settings: JobSettings, source: FoundSource) -> Fingerprints:
    """Digest what the settings ask for, of a source that has been found but not fetched."""
    recording = {
        "source": _identity(source),
        "reader": settings.reader,
        "read_recording_kwargs": settings.read_recording_kwargs,
        "n_frames": settings.sub_recording_n_frames,
        "probe_file": settings.probe_file,
        "preprocessing": _preprocessing(settings),
        "versions": versions(),
    }
    sorters = {
        sorter: _digest(
            {
                **recording,
                "sorter": sorter,
                "parameters": complete_parameters(sorter, settings.sorters_kwargs.get(sorter, {})),
                "sorter_version": sorter_version(sorter),
            }
        )
        for sorter in settings.sorters
    }
    asked_for = [list(sorters.items()), sorted(settings.exports), settings.target_dandiset]
    return Fingerprints(job=_digest(asked_for), sorters=sorters)


def _identity(source: FoundSource) -> dict[str, Any]:
    """What tells these bytes from others: of files elsewhere their ETags, of files here the time of
    their last change."""
    identity = dict(source.provenance)
    if source.probe is not None:
        identity["probe"] = [source.probe.url, source.probe.size_bytes, source.probe.etag]
    if source.path is not None:
        identity["files"] = list(_local_files(source.path))
    return identity


def _local_files(path: Path) -> Iterator[tuple[str, int, int]]:
    """The files of a folder; of a file its neighbours too, as many formats have their samples in
    those."""
    if path.is_dir():
        top, files = path, path.rglob("*")
    else:
        top, files = path.parent, path.parent.glob("*")
    for file in sorted(files):
        if file.is_file():
            stat = file.stat()
            yield str(file.relative_to(top)), stat.st_size, stat.st_mtime_ns


def _preprocessing(settings: JobSettings) -> Any:
    """The steps; those that are chosen by default depend on all sorters of the job."""
    if settings.preprocessing != "default":
        return settings.preprocessing
    kwargs = settings.sorters_kwargs
    own_filters = all(filters_itself(name, kwargs.get(name, {})) for name in settings.sorters)
    return {"default": "without a filter" if own_filters else "with a filter"}


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
