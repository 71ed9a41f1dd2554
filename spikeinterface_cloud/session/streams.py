"""The streams of a session, by its source and STREAMS, and the variables of their jobs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spikeinterface_cloud.config.locations import LocalFolder, S3Location
from spikeinterface_cloud.config.manifest import MANIFEST_URL
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.recording.access import check_readable
from spikeinterface_cloud.recording.formats.named_lines import check_line_streams
from spikeinterface_cloud.recording.formats.session_streams import (
    NO_CLOCK,
    SessionStream,
    SessionStreams,
    list_streams,
    named_series,
    reference_stream,
    select_streams,
)
from spikeinterface_cloud.storage.session import Storage

#: variables of the session that the job of a stream must not have
OF_SESSION = ("STREAMS", MANIFEST_URL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A session whose streams have been found."""

    settings: JobSettings
    #: the ones to sort, in order
    streams: tuple[SessionStream, ...]
    #: NI-DAQ and the like, whose clock and events are read
    auxiliary: tuple[SessionStream, ...]
    #: the stream whose clock the others are aligned to; None: each keeps its own
    reference: SessionStream | None
    #: names of those that are not read at all, like LFP
    ignored: tuple[str, ...] = ()

    def variables_of(self, stream: SessionStream, results_folder: Path) -> dict[str, str]:
        """Return the variables of the job of one stream, without secrets.

        Parameters
        ----------
        results_folder
            of the session
        """
        settings = self.settings
        variables = settings.to_env()
        for name in OF_SESSION:
            variables.pop(name, None)
        variables["READ_RECORDING_KWARGS"] = json.dumps(dict(stream.kwargs))
        variables["CLOCK"] = self.reference.folder if self.reference else NO_CLOCK
        variables["RESULTS_FOLDER"] = str(results_folder / stream.folder)
        if settings.target is not None:
            variables["TARGET_AWS_S3_BUCKET"] = settings.target.bucket
            variables["TARGET_AWS_S3_BUCKET_FOLDER"] = settings.target.child(stream.folder).key
        if settings.run_identifier is not None:
            variables["RUN_IDENTIFIER"] = f"{settings.run_identifier}/{stream.folder}"
        return variables


def find_session(settings: JobSettings) -> Session:
    """Find the streams that STREAMS names, and the reference clock, by names of files alone.

    Raises
    ------
    SettingsError
        for a stream or a clock that is not there, and a source that is no session
    SourceError
        for a source that is not there
    """
    if settings.streams is None:
        raise SettingsError(
            "STREAMS: missing; name the streams of the session, like imec0.ap,imec1.ap, or all"
        )
    kwargs, clock = settings.read_recording_kwargs, settings.clock
    if settings.reader == "nwb" and settings.streams != ("all",):
        streams = SessionStreams(
            sortable=named_series(settings.streams, kwargs), auxiliary=(), ignored=()
        )
        selected = list(streams.sortable)
        clock = clock or NO_CLOCK  # its times are those of the file
    else:
        files, name = _files(settings)
        streams = list_streams(settings.reader, files, kwargs, folder_name=name)
        selected = select_streams(streams.sortable, settings.streams)
    check_line_streams(settings, [*streams.sortable, *streams.auxiliary])
    return Session(
        settings=settings,
        streams=tuple(selected),
        auxiliary=tuple(streams.auxiliary),
        reference=reference_stream(clock, selected, streams.auxiliary),
        ignored=tuple(streams.ignored),
    )


def _files(settings: JobSettings) -> tuple[Mapping[PurePosixPath, int], str]:
    """Return the sizes of the files of the source by their paths in it, and its name."""
    match settings.source:
        case S3Location() as source:
            objects = Storage(settings.aws).list_objects(source)
            prefix = f"{source.key}/" if source.key else ""
            sizes = {
                PurePosixPath(each.location.key.removeprefix(prefix)): each.size_bytes
                for each in objects
            }
            return _of_a_folder(sizes, PurePosixPath(source.key), source), ""
        case LocalFolder(path=path):
            check_readable(path, ())
            local = [file for file in path.rglob("*") if file.is_file()]
            sizes = {
                PurePosixPath(file.relative_to(path).as_posix()): file.stat().st_size
                for file in local
            }
            return _of_a_folder(sizes, PurePosixPath(), path), path.name
        case other:
            raise SettingsError(
                f"STREAMS: the streams of {other} are not in names of files; give the folder of a "
                "session, or name the series of an NWB file"
            )


def _of_a_folder(
    sizes: Mapping[PurePosixPath, int], itself: PurePosixPath, source: object
) -> Mapping[PurePosixPath, int]:
    """Refuse a source that is one file."""
    if not sizes or list(sizes) == [itself]:
        raise SettingsError(
            f"STREAMS: {source} is one file; name the folder of the session, or leave STREAMS out "
            "to sort this file alone"
        )
    return sizes
