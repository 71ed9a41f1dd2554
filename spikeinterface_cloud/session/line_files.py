"""The files of a session that its events, and the clocks of NI-DAQ and the like, are read from."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.recording.formats.open_ephys_names import SAMPLES
from spikeinterface_cloud.recording.formats.readers import find_reader
from spikeinterface_cloud.recording.formats.session_streams import SessionStream
from spikeinterface_cloud.recording.source import SourceRequest, fetch_source, find_source

logger = logging.getLogger(__name__)

#: of the samples of Open Ephys
SAMPLE_BYTES = 2


def fetch_line_files(
    settings: JobSettings, auxiliary: Sequence[SessionStream], folder: Path
) -> Path | None:
    """Fetch the streams that are not sorted, and the TTL events of all; a local source stays.

    Parameters
    ----------
    settings
        of the session
    auxiliary
        the streams that are not sorted
    folder
        on scratch

    Returns
    -------
    path
        for `open_recording` with the parameters of these streams. Of Open Ephys, sorted streams
        can be opened too, but their samples are zeros: for TTL events alone. None if there is
        nothing to read
    """
    reader = find_reader(settings.reader).name
    if reader not in ("spikeglx", "openephys") or (reader == "spikeglx" and not auxiliary):
        return None
    request = SourceRequest(
        location=settings.source,
        data_type=reader,
        read_recording_kwargs=auxiliary[0].kwargs
        if reader == "spikeglx"
        else settings.read_recording_kwargs,
        probe_file=None,
        event_streams=[each.identifier for each in auxiliary],
    )
    found = find_source(request, settings.aws, settings.dandi)
    if reader == "openephys" and found.files:
        kept = [file for file in found.files if _is_needed(file.name, auxiliary)]
        found = replace(found, files=kept)
    path = fetch_source(found, folder).path
    if reader == "openephys" and found.files and path is not None:
        _write_missing_samples(path)
    return path


def has_ttl_events(settings: JobSettings) -> bool:
    """Return whether sorted streams have events of their own, as those of Open Ephys do."""
    return find_reader(settings.reader).name == "openephys"


def _is_needed(name: PurePosixPath, auxiliary: Sequence[SessionStream]) -> bool:
    """Return whether a file of Open Ephys is no sample file, or one of a stream to be read."""
    if name.parent.parent.name != "continuous" or name.suffix == ".npy":
        return True
    # <node>/experiment1/recording1/continuous/<stream>/continuous.dat
    node = name.parts[-6] if len(name.parts) >= 6 else ""
    return any(
        each.identifier in (f"{node}#{name.parent.name}", name.parent.name) for each in auxiliary
    )


def _write_missing_samples(path: Path) -> None:
    """Write zeros for samples that were not fetched, which take no space on the disk.

    The reader opens a recording only if all of its streams are there.
    """
    for structure in path.rglob("structure.oebin"):
        for stream in json.loads(structure.read_text())["continuous"]:
            folder = structure.parent / "continuous" / stream["folder_name"]
            file = folder / SAMPLES
            numbers = [folder / name for name in ("sample_numbers.npy", "timestamps.npy")]
            here = [each for each in numbers if each.is_file()]
            if file.exists() or not here:
                continue
            n_values = len(np.load(here[0], mmap_mode="r")) * int(stream["num_channels"])
            with file.open("wb") as samples:
                samples.truncate(n_values * SAMPLE_BYTES)
