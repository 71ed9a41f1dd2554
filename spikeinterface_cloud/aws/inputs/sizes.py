"""The sizes of the recordings that the options name, as S3 and DANDI state them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.cli.values import ListOptions
from spikeinterface_cloud.aws.inputs.dispatch import listed_recordings
from spikeinterface_cloud.aws.inputs.job_settings import environment_variables, joined_variables
from spikeinterface_cloud.aws.inputs.recording_list import ListedRecording, Listing
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.config.conflicts import SYNONYMS, merge_environments
from spikeinterface_cloud.config.locations import (
    DandiAsset,
    DandiBlob,
    JoinedRecordings,
    Location,
    S3Location,
)
from spikeinterface_cloud.config.parsing import load_json
from spikeinterface_cloud.config.settings import DandiAccess
from spikeinterface_cloud.config.sources import parse_list, parse_source
from spikeinterface_cloud.errors import (
    CloudJobError,
    SettingsError,
    TransferError,
    UnavailableError,
)
from spikeinterface_cloud.recording.formats.spikeglx import without_uuid
from spikeinterface_cloud.recording.formats.uncompressed import (
    Samples,
    find_nwb_samples,
    find_samples,
)

if TYPE_CHECKING:
    from spikeinterface_cloud.dandi.archive_assets import ZarrStore
    from spikeinterface_cloud.dandi.zarr_reader import ZarrReader

#: requests at once: as many as boto3 keeps connections
N_THREADS = 10

#: how many notes about single recordings are shown
SHOWN = 3

#: how the container reads SpikeGLX: one AP band, and nothing of the other streams
AP_BAND = (".ap.bin", ".ap.cbin")


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundSize:
    """The bytes of one recording."""

    label: str
    #: whose ending tells the format
    name: str
    size_bytes: int
    #: of a compressed recording whose metadata say it
    samples: Samples | None = None


def find_sizes(
    sources: Sequence[str],
    lists: ListOptions,
    environ: Mapping[str, str],
    env_file: Mapping[str, str],
    session: AwsSession,
) -> tuple[tuple[FoundSize, ...], tuple[str, ...]]:
    """Return the size of `--source`, or of everything that an option lists, and notes."""
    dandi = DandiAccess.from_env(environ)
    finder = SizeFinder(session, dandi, environment_variables(environ, env_file))
    if sources:
        found_size = finder.find(joined_variables(sources), ", ".join(sources))
        return (found_size,), tuple(finder.notes)
    listing = listed_recordings(lists, session, dandi, None)
    if any("SORTERS" in each.variables for each in listing.recordings):
        finder.notes.append("the list names sorters of its own: --sorters is estimated instead")
    found = finder.find_all(listing)
    return found, (*listing.notes, *_first_of(finder.notes))


def _headers(keys: Iterable[str]) -> list[str]:
    """Return the headers of mtscomp among keys."""
    return [key for key in keys if key.endswith(".ch")]


def _first_of(notes: list[str]) -> list[str]:
    """Return the first notes, and the number of the others."""
    more = f", and of {len(notes) - SHOWN:,} more" if len(notes) > SHOWN else ""
    return [*notes[: SHOWN - 1], f"{notes[SHOWN - 1]}{more}"] if len(notes) >= SHOWN else notes


def _together(found: Sequence[FoundSize], label: str) -> FoundSize:
    """Return the size of recordings that are joined."""
    samples = [each.samples for each in found if each.samples is not None]
    n_frames = sum(each.n_frames for each in samples)
    return replace(
        found[0],
        label=label,
        size_bytes=sum(each.size_bytes for each in found),
        samples=replace(samples[0], n_frames=n_frames) if len(samples) == len(found) else None,
    )


class SizeFinder:
    """Looks up sizes on S3 and DANDI."""

    def __init__(self, session: AwsSession, dandi: DandiAccess, common: Mapping[str, str]) -> None:
        self._session = session
        self._dandi = dandi
        #: the variables of all recordings, whose own come first
        self._common = {SYNONYMS.get(name, name): text for name, text in common.items()}
        #: why Zarrs on DANDI cannot be read, none of them
        self._unreachable = ""
        self.notes: list[str] = []

    def find_all(self, listing: Listing) -> tuple[FoundSize, ...]:
        """Return the sizes of a list; unknown ones are looked up, several at a time."""
        _ = self._session.storage  # its client is made once, before the threads ask for it
        with ThreadPoolExecutor(N_THREADS) as threads:
            found = list(threads.map(self._find_listed, listing.recordings))
        problems = [each for each in found if isinstance(each, CloudJobError)]
        if problems:
            together = CloudJobError("\n".join(map(str, problems)))
            together.exit_code = problems[0].exit_code
            raise together
        return tuple(each for each in found if isinstance(each, FoundSize))

    def find(self, variables: Mapping[str, str], label: str) -> FoundSize:
        """Return the size of the source that a job's variables name."""
        variables = merge_environments(self._common, variables)
        series = self._series(variables)
        names = ("AWS_S3_BUCKET", "AWS_S3_BUCKET_FOLDER", "DANDISET_S3_FILE_URL")
        bucket, folder, url = (variables.get(name) for name in names)
        if url is None and bucket is None:
            raise SettingsError("no source on S3 or DANDI, so that its size cannot be looked up")
        try:
            folders, urls = parse_list(folder), parse_list(url)
            source = parse_source(None if url else bucket, folders, urls, None)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        if not isinstance(source, JoinedRecordings):
            return self._find_one(source, label, series)
        found = [self._find_one(each, str(each), series) for each in source.locations]
        return _together(found, label)

    def _series(self, variables: Mapping[str, str]) -> str | None:
        """Return the electrical series of NWB that the variables of a recording choose."""
        name = "READ_RECORDING_KWARGS"
        text = variables.get(name) or self._common.get(name)
        try:
            kwargs = load_json(text) if text else {}
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from error
        return kwargs.get("electrical_series_path") if isinstance(kwargs, dict) else None

    def _find_one(self, source: Location, label: str, series: str | None) -> FoundSize:
        match source:
            case S3Location():
                return self._on_s3(source, label, series)
            case DandiBlob():
                return self._of_blob(source, label)
            case DandiAsset():
                return self._of_asset(source, label, series)
            case _:
                raise SettingsError(f"the size of {source} cannot be looked up")

    def _find_listed(self, recording: ListedRecording) -> FoundSize | CloudJobError:
        label = recording.label
        try:
            if recording.size_bytes is None:
                return self.find(recording.variables, label)
            return self._of_listed(recording, self._series(recording.variables))
        except CloudJobError as error:
            located = CloudJobError(f"{label}: {error}")
            located.exit_code = error.exit_code
            return located

    def _of_listed(self, recording: ListedRecording, series: str | None) -> FoundSize:
        label, size_bytes = recording.label, recording.size_bytes
        assert size_bytes is not None
        samples = self._samples_of_zarr(recording.zarr, label, series)
        return FoundSize(label=label, name=label, size_bytes=size_bytes, samples=samples)

    def _on_s3(self, location: S3Location, label: str, series: str | None) -> FoundSize:
        objects = self._session.storage.list_objects(location)
        sizes = {stored.location.key: stored.size_bytes for stored in objects}
        only = next(iter(sizes)) if len(sizes) == 1 else ""
        bands = {
            key: size
            for key, size in sizes.items()
            if without_uuid(PurePosixPath(key)).name.endswith(AP_BAND)
        }
        if bands:
            largest = max(bands, key=bands.__getitem__)
            self.notes.append(
                f"of SpikeGLX folders one AP band is fetched and counted, the largest: of {label} "
                f"{largest.rpartition('/')[2]}"
            )
            return FoundSize(
                label=label,
                name=largest,
                size_bytes=bands[largest],
                samples=self._samples(location, [largest, *_headers(sizes)], None),
            )
        return FoundSize(
            label=label,
            name=only or location.key,
            size_bytes=sum(sizes.values()),
            samples=self._samples(location, list(sizes), series),
        )

    def _samples(
        self, location: S3Location, keys: Sequence[str], series: str | None
    ) -> Samples | None:
        """Read what the metadata of compressed files on S3 say."""
        names = {PurePosixPath(key.removeprefix(f"{location.key}/")): key for key in keys}

        def read(chosen: Sequence[PurePosixPath]) -> list[bytes]:
            locations = [replace(location, key=names[name]) for name in chosen]
            with ThreadPoolExecutor(N_THREADS) as threads:
                return list(threads.map(self._session.storage.read_object, locations))

        return find_samples(names, read, series)

    def _of_blob(self, blob: DandiBlob, label: str) -> FoundSize:
        stored = self._session.storage.head(S3Location(bucket=blob.bucket, key=blob.key))
        # a blob's name has no ending, and each is an NWB file
        return FoundSize(label=label, name=f"{blob.key}.nwb", size_bytes=stored.size_bytes)

    def _of_asset(self, asset: DandiAsset, label: str, series: str | None) -> FoundSize:
        from spikeinterface_cloud.aws.inputs.dandiset import dandiset_recordings, find_asset
        from spikeinterface_cloud.config.dandi_urls import parse_asset_name

        name = parse_asset_name(asset.url)
        if name.is_identifier:
            found = find_asset(asset, self._dandi)
            samples = self._samples_of_zarr(found.zarr, label, series)
            return FoundSize(
                label=label, name=found.path, size_bytes=found.size_bytes, samples=samples
            )
        if name.selects == "whole":
            raise SettingsError(
                f"{asset} is a dandiset; name one asset, like "
                "dandi://dandi/000006@draft/sub-1/a.nwb, or give --dandiset"
            )
        listing = dandiset_recordings(name.url, name.pattern, self._dandi)
        [recording, *others] = listing.recordings
        if others or recording.size_bytes is None:
            raise SettingsError(
                f"{asset}: {len(listing.recordings)} files; name one, or give --dandiset and --glob"
            )
        return replace(self._of_listed(recording, series), label=label)

    def _samples_of_zarr(
        self, store: ZarrStore | None, label: str, series: str | None
    ) -> Samples | None:
        """Read the metadata of a Zarr on DANDI; note why where they do not tell its samples."""
        if store is None:
            return None
        reason = self._unreachable
        if not reason:
            try:
                return find_nwb_samples(partial(self._zarrs.read, store), series)
            except (TransferError, UnavailableError) as error:
                reason = self._unreachable = str(error)
            except CloudJobError as error:
                reason = str(error)
        self.notes.append(f"the uncompressed size of {label} is a guess: {reason}")
        return None

    @cached_property
    def _zarrs(self) -> ZarrReader:
        from spikeinterface_cloud.dandi.zarr_reader import ZarrReader  # needs DANDI's client

        return ZarrReader()
