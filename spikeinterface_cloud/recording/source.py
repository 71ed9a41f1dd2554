"""Find the source of a recording, and fetch it.

Everything that can be checked by names and sizes is checked before the first byte is fetched.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, assert_never

from spikeinterface_cloud.config.locations import (
    DandiAsset,
    DandiBlob,
    JoinedRecordings,
    LocalFolder,
    S3Location,
    SimulatedRecording,
    Source,
    parse_s3,
)
from spikeinterface_cloud.config.settings import AwsSettings, DandiAccess
from spikeinterface_cloud.dandi.archive_assets import ArchiveZarr
from spikeinterface_cloud.dandi.assets import remote_file, resolve, streaming_url
from spikeinterface_cloud.dandi.zarr_entries import remote_files
from spikeinterface_cloud.errors import SettingsError, SourceError
from spikeinterface_cloud.recording.access import check_readable, forbidden
from spikeinterface_cloud.recording.formats.event_streams import event_files
from spikeinterface_cloud.recording.formats.mtscomp_recording import check_size, parse_index
from spikeinterface_cloud.recording.formats.nwb_zarr import find_store
from spikeinterface_cloud.recording.formats.open_ephys import decompress
from spikeinterface_cloud.recording.formats.readers import Reader, find_reader
from spikeinterface_cloud.recording.formats.saved_folder import DESCRIPTIONS
from spikeinterface_cloud.recording.formats.source_files import (
    list_files,
    locate,
    pick_file,
    with_file_stream,
)
from spikeinterface_cloud.recording.formats.streams import needed_files
from spikeinterface_cloud.recording.joined_headers import (
    about_recording,
    check_distinct,
    check_remote_headers,
)
from spikeinterface_cloud.recording.probe_file import read_probe_file
from spikeinterface_cloud.recording.provenance import describe, describe_asset
from spikeinterface_cloud.recording.zarr_source import (
    choose_zarr_files,
    look_up_chunks,
    objects_without_chunks,
)
from spikeinterface_cloud.runtime.logging import format_bytes
from spikeinterface_cloud.storage.archived import check_restored
from spikeinterface_cloud.storage.download import download
from spikeinterface_cloud.storage.hdf5_signature import check_remote_hdf5
from spikeinterface_cloud.storage.remote_file import RemoteFile, s3_file, s3_files
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.small_objects import read_files
from spikeinterface_cloud.storage.stored_object import StoredObject

logger = logging.getLogger(__name__)

#: lifetime of a presigned URL for streaming
STREAMING_S = 12 * 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRequest:
    """The settings of a job that concern its source."""

    location: Source
    data_type: str | None
    read_recording_kwargs: Mapping[str, Any]
    #: a path inside the source, or an S3 URL
    probe_file: str | None
    #: number of first frames that are sorted, so that a remote NWB is streamed; None for all
    n_frames: int | None = None
    #: names of streams whose events are read besides
    event_streams: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundSource:
    """A source that exists, and how to fetch it."""

    location: Source
    #: files to fetch; empty for a local source
    files: Sequence[RemoteFile] = ()
    #: the PROBE_FILE of a remote source
    probe: RemoteFile | None = None
    #: the PROBE_FILE of a local source
    probe_path: Path | None = None
    #: returns a URL to stream from; None where the recording is not streamed
    stream: Callable[[], str] | None = None
    #: of a local source
    path: Path | None = None
    #: for `run.json`
    provenance: Mapping[str, Any] = field(default_factory=dict)
    #: of several recordings that are joined: each of them, in order
    joined: tuple["FoundSource", ...] = ()

    @property
    def recordings(self) -> tuple["FoundSource", ...]:
        """Each recording of the source."""
        return self.joined or (self,)

    @property
    def size_bytes(self) -> int:
        """Size of the files to fetch."""
        own = 0 if self.stream else sum(file.size_bytes for file in self.files)
        return own + sum(each.size_bytes for each in self.joined)


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedSource:
    """A source that is on this host, or is streamed."""

    #: a folder or a file; None if streamed or simulated
    path: Path | None = None
    stream: Callable[[], str] | None = None
    probe_file: Path | None = None
    #: downloaded bytes
    size_bytes: int = 0
    #: what messages call it
    location: str = ""
    #: of several recordings that are joined: each of them, in order
    joined: tuple["FetchedSource", ...] = ()


def find_source(request: SourceRequest, aws: AwsSettings, dandi: DandiAccess) -> FoundSource:
    """Find the source without fetching any of it."""
    match request.location:
        case S3Location():
            found = _find_on_s3(request.location, request, Storage(aws))
        case DandiBlob():
            found = _find_blob(request.location, request, Storage(aws, unsigned=True))
        case DandiAsset():
            found = _find_asset(request.location, request, dandi)
        case LocalFolder():
            found = _find_locally(request.location, request)
        case SimulatedRecording():
            found = FoundSource(location=request.location, provenance={"location": "simulated"})
        case JoinedRecordings():
            return _find_joined(request.location, request, aws, dandi)
        case _ as unreachable:
            assert_never(unreachable)
    probe = request.probe_file
    if probe is not None and probe.startswith("s3://"):
        return replace(found, probe=_probe_at(parse_s3(probe, None), Storage(aws)))
    return found


def fetch_source(found: FoundSource, folder: Path) -> FetchedSource:
    """Download the source to `folder` and verify it; a local source stays where it is."""
    if found.joined:
        places = [(each, folder / str(number)) for number, each in enumerate(found.joined, 1)]
        joined = tuple(
            replace(fetch_source(*each), location=str(each[0].location)) for each in places
        )
        return FetchedSource(joined=joined, size_bytes=sum(each.size_bytes for each in joined))
    probe_file = found.probe_path
    if found.probe is not None:
        probe_file = download([found.probe], folder / "probe").files[0]
    if probe_file is not None:
        read_probe_file(probe_file)  # before the recording, which may be large, is fetched
    if found.stream is not None:
        logger.info("only the first frames are sorted: %s is streamed", found.location)
        return FetchedSource(stream=found.stream, probe_file=probe_file)
    if not found.files:
        path = found.path and decompress(found.path, folder / "decompressed")
        return FetchedSource(path=path, probe_file=probe_file)
    logger.info(
        "fetching %d files, %s, from %s",
        len(found.files),
        format_bytes(found.size_bytes),
        found.location,
    )
    recording_folder = folder / "recording"
    fetched = download(found.files, recording_folder)
    is_one_file = len(found.files) == 1 and found.files[0].name.parent == PurePosixPath()
    return FetchedSource(
        path=fetched.files[0]
        if is_one_file
        else decompress(recording_folder, folder / "decompressed"),
        probe_file=probe_file,
        size_bytes=fetched.moved_bytes,
    )


def _find_joined(
    source: JoinedRecordings, request: SourceRequest, aws: AwsSettings, dandi: DandiAccess
) -> FoundSource:
    """Find each recording, and compare what their headers say before they are fetched."""
    found = []
    for number, location in enumerate(source.locations, 1):
        with about_recording(number, location):
            found.append(find_source(replace(request, location=location), aws, dandi))
    files = [each.files for each in found]
    check_distinct(source.locations, files)
    series = request.read_recording_kwargs.get("electrical_series_path")
    check_remote_headers(source.locations, files, request.data_type, series)
    joined = [dict(each.provenance) for each in found]
    return FoundSource(
        location=source,
        provenance={"location": str(source), "joined": joined},
        joined=tuple(found),
    )


def _find_on_s3(location: S3Location, request: SourceRequest, storage: Storage) -> FoundSource:
    objects = _list_objects(location, request, storage)
    files = s3_files(storage, objects, location)
    is_named = [stored.location for stored in objects] == [location]
    folder = location
    if is_named:
        folder = S3Location(bucket=location.bucket, key=location.key.rpartition("/")[0])
    probe_name = _probe_in_source(request)
    probe = _probe_on_s3(folder, probe_name, storage) if probe_name else None
    kept = [file for file in files if probe is None or file.url != probe.url]
    chosen = _choose(kept, request, is_named)
    needed = {file.url for file in chosen}
    check_restored(storage, [stored for stored in objects if str(stored.location) in needed])
    reader = _reader(request)
    if reader is not None and _is_zarr(reader, [file.name for file in chosen]):
        kwargs, look_up = request.read_recording_kwargs, partial(look_up_chunks, storage, location)
        chosen = choose_zarr_files(reader, chosen, kwargs, request.n_frames, look_up)
    if reader is not None and reader.name == "cbin_ibl":
        samples, index_file, _ = chosen
        index = parse_index(index_file.name, read_files([index_file])[0])
        check_size(samples.name, samples.size_bytes, index_file.name, index)
    stream = None
    if request.data_type == "nwb" and len(chosen) == 1:
        check_remote_hdf5(chosen[0])
        if request.n_frames is not None:
            only = next(stored for stored in objects if str(stored.location) == chosen[0].url)
            stream = partial(storage.url_of_unchanged, only, STREAMING_S)
    return FoundSource(
        location=location,
        files=chosen,
        probe=probe,
        stream=stream,
        provenance=describe(location, chosen),
    )


def _list_objects(
    location: S3Location, request: SourceRequest, storage: Storage
) -> list[StoredObject]:
    """Return the objects of the source, but of a Zarr's first frames only some chunks."""
    reader = _reader(request)
    if request.n_frames is not None and reader is not None and reader.reads_zarr:
        objects = objects_without_chunks(storage, location)
        if objects:
            return objects
    return storage.list_objects(location)


def _find_blob(location: DandiBlob, request: SourceRequest, storage: Storage) -> FoundSource:
    blob = S3Location(bucket=location.bucket, key=location.key)
    try:
        stored = storage.head(blob)
    except SourceError as error:
        raise SourceError(
            f"DANDISET_S3_FILE_URL: {location} does not exist or is not public; check the URL; for "
            "an embargoed asset, give its API URL and set DANDI_API_KEY"
        ) from error
    # SpikeInterface needs the ending, which the name of a blob lacks
    file = s3_file(storage, stored, PurePosixPath(f"{blob.key.rpartition('/')[2]}.nwb"))
    check_remote_hdf5(file)
    return FoundSource(
        location=location,
        files=[file],
        stream=partial(storage.url_of_unchanged, stored, STREAMING_S)
        if request.n_frames is not None
        else None,
        provenance=describe(location, [file]),
    )


def _find_asset(location: DandiAsset, request: SourceRequest, access: DandiAccess) -> FoundSource:
    asset = resolve(location, access)
    if isinstance(asset, ArchiveZarr):
        return _find_zarr(location, asset, request)
    file = remote_file(asset)
    check_remote_hdf5(file)
    return FoundSource(
        location=location,
        files=[file],
        stream=partial(streaming_url, asset) if request.n_frames is not None else None,
        provenance=describe_asset(location, asset, [file]) | {"dandi_etag": asset.dandi_etag},
    )


def _find_zarr(location: DandiAsset, asset: ArchiveZarr, request: SourceRequest) -> FoundSource:
    """Find the entries of a Zarr asset that the recording is read from."""
    files = choose_zarr_files(
        find_reader("nwb"), remote_files(asset), request.read_recording_kwargs, request.n_frames
    )
    checksum = {"dandi_zarr_checksum": asset.checksum}
    return FoundSource(
        location=location,
        files=files,
        provenance=describe_asset(location, asset, files) | checksum,
    )


def _find_locally(location: LocalFolder, request: SourceRequest) -> FoundSource:
    path, reader = location.path, _reader(request)
    check_readable(path, reader.extensions if reader else ())
    if path.is_dir() and not any(path.iterdir()):
        raise SourceError(f"SOURCE_FOLDER: {path} is empty; name the folder of the recording")
    probe = _probe_in_source(request)
    folder = path if path.is_dir() else path.parent
    if probe and not os.path.isfile(folder / probe):  # noqa: PTH113 (Path.is_file may raise)
        raise SourceError(
            f"PROBE_FILE: there is no {probe} in {folder}; give its path relative to that folder"
        )
    if probe and not os.access(folder / probe, os.R_OK):
        raise forbidden("PROBE_FILE", folder / probe)
    if reader is not None:
        kwargs = request.read_recording_kwargs
        locate(reader, path, kwargs)
        if streams := request.event_streams:
            event_files(reader.name, list_files(folder), kwargs, streams, folder.name)
    return FoundSource(
        location=location,
        path=path,
        probe_path=folder / probe if probe else None,
        provenance={"location": str(location)},
    )


def _choose(
    files: Sequence[RemoteFile], request: SourceRequest, is_named: bool
) -> list[RemoteFile]:
    """Return the files that the recording is read from; `is_named` if the source is one object."""
    reader = _reader(request)
    if reader is None or not files:
        return list(files)
    by_name = {file.name: file for file in files}
    names, kwargs = list(by_name), request.read_recording_kwargs
    if is_named:
        kwargs = with_file_stream(reader, names[0], names, kwargs)
    elif reader.takes_a_file and not _is_folder_format(reader, names):
        pick_file(reader, names)
    needed = needed_files(reader.name, names, kwargs)
    needed += event_files(reader.name, names, kwargs, request.event_streams)
    if len(needed) < len(files):
        logger.info("%d of %d files are needed", len(needed), len(files))
    return [by_name[name] for name in dict.fromkeys(needed)]


def _is_folder_format(reader: Reader, names: Sequence[PurePosixPath]) -> bool:
    """Return whether a reader of files opens a folder that SpikeInterface or Zarr wrote."""
    if reader.name == "binary":
        return any(name.name in DESCRIPTIONS for name in names)
    return reader.name == "zarr_array" or any(
        name.name in (".zgroup", ".zarray", "zarr.json") for name in names
    )


def _is_zarr(reader: Reader, names: Sequence[PurePosixPath]) -> bool:
    return reader.reads_zarr or (reader.name == "nwb" and find_store(names) is not None)


def _reader(request: SourceRequest) -> Reader | None:
    """Return the reader; None for an unknown DATA_TYPE, which the preflight refuses."""
    try:
        return find_reader(request.data_type) if request.data_type is not None else None
    except SettingsError:
        return None


def _probe_in_source(request: SourceRequest) -> str | None:
    probe = request.probe_file
    return None if probe is None or probe.startswith("s3://") else probe


def _probe_on_s3(folder: S3Location, name: str, storage: Storage) -> RemoteFile:
    location = folder.child(name)
    if not storage.object_exists(location):
        raise SourceError(
            f"PROBE_FILE: there is no {name} in {folder}; give its path relative to the source, or "
            "an s3:// URL"
        )
    return _probe_at(location, storage)


def _probe_at(location: S3Location, storage: Storage) -> RemoteFile:
    stored = storage.head(location)
    check_restored(storage, [stored])
    return s3_file(storage, stored, PurePosixPath("probe.json"))
