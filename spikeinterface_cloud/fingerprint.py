"""What decides the results of a job, in one digest: two runs with the same one are the same job.

The number of workers, the machine and the places of the results decide nothing; the bytes of the
recording, the settings, and the versions of what reads and sorts it do.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from spikeinterface_cloud.config.catalog.validation import trigger_streams
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SourceError
from spikeinterface_cloud.preprocessing.sorter_needs import greatest_need
from spikeinterface_cloud.recording.formats.hdf5_links import linked_files
from spikeinterface_cloud.recording.formats.readers import Reader, find_reader
from spikeinterface_cloud.recording.source import FoundSource
from spikeinterface_cloud.results.recorded_file import sha256_of
from spikeinterface_cloud.results.resume import Fingerprints
from spikeinterface_cloud.results.run_record import versions
from spikeinterface_cloud.sorting.task import SortingTask


def fingerprints(
    settings: JobSettings, tasks: Sequence[SortingTask], source: FoundSource
) -> Fingerprints:
    """Digest what the settings ask for, of a source that has been found but not fetched."""
    recording = {
        "source": _identity(source, settings),
        "reader": settings.reader,
        "read_recording_kwargs": settings.read_recording_kwargs,
        "n_frames": settings.sub_recording_n_frames,
        "probe_file": settings.probe_file,
        "versions": versions(),
        "program": _program(),
    }
    preprocessed = {**recording, "preprocessing": _preprocessing(settings, tasks)}
    if trigger_streams(settings.preprocessing):  # they decide which samples are removed
        preprocessed["triggers"] = [settings.events, settings.clock_line]
    if settings.split_by is not None:
        preprocessed["split_by"] = settings.split_by
    sorters = {
        task.sorter: _digest(
            {
                **preprocessed,
                "sorter": task.sorter,
                "parameters": task.completed_parameters,
                "sorter_version": task.version,
            }
        )
        for task in tasks
    }
    archive = settings.archive != "none"
    asked_for = [list(sorters.items()), sorted(settings.exports), settings.target_dandiset]
    if archive:
        asked_for.append(settings.archive)
    if settings.wants_sync:
        asked_for.append({"clock_line": settings.clock_line, "events": settings.events})
    return Fingerprints(
        job=_digest(asked_for),
        sorters=sorters,
        recording=_digest(recording),
        archive=archive,
        sync=settings.wants_sync,
    )


def _identity(source: FoundSource, settings: JobSettings) -> dict[str, Any]:
    """Return what identifies the bytes: ETags of remote files, modification times of local ones."""
    if source.joined:  # in order: the first decides about the others, and numbers the results
        return {"joined": [_identity(each, settings) for each in source.joined]}
    identity = dict(source.provenance)
    if source.probe is not None:
        identity["probe"] = [source.probe.url, source.probe.size_bytes, source.probe.etag]
    if source.probe_path is not None:  # which may lie anywhere
        identity["probe"] = sha256_of(source.probe_path)
    if source.path is not None:
        top = source.path if source.path.is_dir() else source.path.parent
        files = _local_files(source.path, find_reader(settings.reader))
        identity["files"] = list(_describe(files, top))
    return identity


def _local_files(path: Path, reader: Reader) -> Iterable[Path]:
    """Return the files that the reader may look into, of a file those around it too.

    Many formats have their samples beside the file that is named, HDF5 in any file that it links
    to, and a reader of folders looks below the folder of the file.
    """
    if path.is_dir():
        return path.rglob("*")
    if not reader.takes_a_file:
        return path.parent.rglob("*")
    return {*path.parent.glob("*"), *linked_files(path)}


def local_files(source: FoundSource, settings: JobSettings, results: Path) -> dict[Path, Any]:
    """Return the state of the local files that the job reads, by path.

    Those below `results` and, of a file, its neighbors are left out: both may change.
    """
    if source.joined:
        every = [local_files(each, settings, results) for each in source.joined]
        return {file: state for each in every for file, state in each.items()}
    if source.path is None:
        return {}
    if source.path.is_file() and find_reader(settings.reader).takes_a_file:
        files = {source.path, *linked_files(source.path)}
    else:
        files = set(_local_files(source.path, find_reader(settings.reader)))
    return {file: _state(file) for file in files if not file.is_relative_to(results)}


def check_unchanged(files: Mapping[Path, Any]) -> None:
    """Raise `SourceError` if a file is not as it was in `local_files`."""
    for file, before in files.items():
        if _state(file) != before:
            raise SourceError(
                f"{file} changed while the job read it; run the job again when nothing writes to "
                "it any more"
            )


def _state(file: Path) -> tuple[int, int] | None:
    """Return size and modification time, None for what is no file (any more)."""
    if not file.is_file():
        return None
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _describe(files: Iterable[Path], top: Path) -> Iterator[tuple[str, int, int]]:
    for file in sorted(files):
        if (state := _state(file)) is not None:
            yield os.path.relpath(file, top), *state


def _preprocessing(settings: JobSettings, tasks: Sequence[SortingTask]) -> Any:
    """Return the steps; those that are chosen by default depend on all sorters of the job."""
    if settings.preprocessing != "default":
        return settings.preprocessing
    return {"default": greatest_need({task.sorter: task.parameters for task in tasks}).name}


@cache
def _program() -> str:
    """Digest the program itself: one version has many states between two releases."""
    package = Path(__file__).parent
    top = package.parent  # run_script.py has the order of the steps
    digest = hashlib.sha256()
    for file in [*sorted(package.rglob("*.py")), *top.glob("run_script.py")]:
        digest.update(str(file.relative_to(top)).encode() + file.read_bytes())
    return digest.hexdigest()


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
