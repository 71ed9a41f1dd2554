"""Sessions: from the options to the streams of each, with the settings of all their jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from spikeinterface_cloud.aws.cli.values import SubmitOptions
from spikeinterface_cloud.aws.inputs.dispatch import listed_recordings
from spikeinterface_cloud.aws.inputs.job_settings import (
    endpoint_warnings,
    job_variables,
    source_variables,
    validate,
)
from spikeinterface_cloud.aws.inputs.recording_list import (
    ListedJob,
    ListedRecording,
    Listing,
    check_targets,
    common_target,
    located,
    variables_of,
)
from spikeinterface_cloud.aws.inputs.source_check import archive_warnings
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.config.conflicts import merge_environments
from spikeinterface_cloud.config.locations import S3Location, Source
from spikeinterface_cloud.config.settings import DandiAccess, JobSettings
from spikeinterface_cloud.errors import CloudJobError, SettingsError
from spikeinterface_cloud.recording.formats.named_lines import check_line_streams
from spikeinterface_cloud.recording.formats.session_streams import (
    ALL,
    NO_CLOCK,
    SessionStream,
    SessionStreams,
    list_streams,
    named_series,
    reader_of,
    reference_stream,
    select_streams,
)

#: sources that are listed at once: as many as boto3 keeps connections
N_THREADS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A session: a job for each of its streams, and one that gathers their results."""

    #: a short name
    title: str
    #: below which each stream has its folder
    target: S3Location
    streams: tuple[ListedJob, ...]
    gathering: JobSettings
    #: names of the streams that no job sorts
    not_sorted: tuple[str, ...]
    #: what the user should know, a sentence each
    notes: tuple[str, ...] = ()


def find_sessions(
    options: SubmitOptions, environ: Mapping[str, str], session: AwsSession
) -> tuple[list[Session], tuple[str, ...]]:
    """Return the sessions that the options name, and what the user should know of all of them.

    One session raises its own error; of several, SettingsError has every problem at once.
    """
    common = job_variables(options, environ)
    target = common_target(common)
    if options.session_url:
        source = source_variables(options.session_url, "--session")
        common = merge_environments(common, source)
        listing = Listing(title="", recordings=(_only_session(options.session_url, source),))
    else:
        listing = listed_recordings(options, session, DandiAccess.from_env(environ), target)
    _ = session.storage  # its client is made once, before the threads ask for it
    with ThreadPoolExecutor(N_THREADS) as threads:
        find = partial(_find, common=common, target=target, session=session)
        found = list(threads.map(find, listing.recordings))
    if options.session_url and isinstance(found[0], CloudJobError):
        raise found[0]
    problems: dict[str, list[str]] = {}
    for recording, each in zip(listing.recordings, found, strict=True):
        for problem in str(each).splitlines() if isinstance(each, CloudJobError) else ():
            problems.setdefault(problem, []).append(recording.label)
    if problems:
        raise SettingsError("\n".join(located(problems, len(found))))
    sessions = [each for each in found if isinstance(each, Session)]
    if not options.session_url:  # whose target is the folder itself
        check_targets([(each.title, each.target) for each in sessions], target)
    return sessions, (*listing.notes, *endpoint_warnings(common))


def _only_session(url: str, source: Mapping[str, str]) -> ListedRecording:
    return ListedRecording(label=url, name="", variables=source)


def _find(
    recording: ListedRecording,
    *,
    common: Mapping[str, str],
    target: S3Location,
    session: AwsSession,
) -> Session | CloudJobError:
    try:
        return _session_of(recording, variables_of(recording, common, target), session)
    except CloudJobError as error:
        return error


def _session_of(
    recording: ListedRecording, variables: Mapping[str, str], session: AwsSession
) -> Session:
    """List the streams of one session, and make a job of each."""
    title = variables.get("RUN_IDENTIFIER") or _title(recording)
    settings = validate({"STREAMS": ALL, **variables, "RUN_IDENTIFIER": title})
    assert settings.target is not None
    assert settings.streams is not None
    wanted, clock = settings.streams, settings.clock
    common = {name: text for name, text in variables.items() if name != "STREAMS"}
    notes: tuple[str, ...] = ()
    is_nwb = reader_of(settings.reader) == "nwb"
    if is_nwb:
        selected = named_series(wanted, settings.read_recording_kwargs)
        streams = SessionStreams(sortable=selected, auxiliary=(), ignored=())
        clock = clock or NO_CLOCK  # its times are those of the file
    else:
        files, notes = _files(settings.source, session)
        streams = list_streams(settings.reader, files, settings.read_recording_kwargs)
        selected = select_streams(streams.sortable, wanted)
    reference = reference_stream(clock, selected, streams.auxiliary)
    check_line_streams(settings, [*streams.sortable, *streams.auxiliary])
    common["CLOCK"] = reference.folder if reference else NO_CLOCK
    others = [each.folder for each in (*streams.sortable, *streams.auxiliary)]
    names = [each.identifier if is_nwb else each.folder for each in selected]
    gathering = {**common, "STREAMS": json.dumps(names), "RUN_IDENTIFIER": title}
    return Session(
        title=title,
        target=settings.target,
        streams=tuple(_job(stream, common, title, settings.target) for stream in selected),
        gathering=validate(gathering),
        not_sorted=(
            *(name for name in others if name not in [each.folder for each in selected]),
            *streams.ignored,
        ),
        notes=notes,
    )


def _job(
    stream: SessionStream, common: Mapping[str, str], title: str, target: S3Location
) -> ListedJob:
    """Make the job of one stream."""
    own = target.child(stream.folder)
    settings = validate(
        {
            **common,
            "READ_RECORDING_KWARGS": json.dumps(dict(stream.kwargs)),
            "RUN_IDENTIFIER": f"{title}/{stream.folder}",
            "TARGET_AWS_S3_BUCKET_FOLDER": own.key,
        }
    )
    return ListedJob(
        label=stream.folder, settings=settings, target=own, size_bytes=stream.size_bytes
    )


def _files(source: Source, session: AwsSession) -> tuple[dict[PurePosixPath, int], tuple[str, ...]]:
    """Return the files of a session by their sizes, and warnings of those in an archive."""
    if not isinstance(source, S3Location):
        raise SettingsError(
            f"--session: the streams of {source} cannot be listed; give s3://bucket/folder"
        )
    objects = session.storage.list_objects(source)
    if [stored.location for stored in objects] == [source]:
        raise SettingsError(
            f"--session: {source} is one file; name the folder of the session, or sort this file "
            "alone with --source"
        )
    prefix = f"{source.key}/" if source.key else ""
    files = {
        PurePosixPath(stored.location.key.removeprefix(prefix)): stored.size_bytes
        for stored in objects
        if not stored.location.key.endswith("/")
    }
    return files, tuple(archive_warnings(objects))


def _title(recording: ListedRecording) -> str:
    """Return a name for a session: that of the list, or the last part of its source."""
    name = recording.name or recording.label.rstrip("/").rpartition("/")[2]
    return name.removesuffix(".zarr").removesuffix(".nwb")
