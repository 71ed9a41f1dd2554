"""When a recording began, by the metadata in its files."""

import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import h5py
import numpy as np
import zarr
from probeinterface.neuropixels_tools import parse_spikeglx_meta
from spikeinterface.core import BaseRecording
from spikeinterface.extractors.nwbextractors import NwbRecordingSegment

from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.clock.segment_times import source_segment
from spikeinterface_cloud.recording.formats.imec import header_files

#: in the name of a folder of Open Ephys
FOLDER_DATE = re.compile(r"\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}")


def find_start(recording: BaseRecording, location: str) -> datetime | None:
    """Return when the first sample was taken, as far as the files or their folder say.

    It has a time zone only if the files have one.
    """
    try:
        return _of_nwb(recording) or _of_spikeglx(recording) or _of_folder(location)
    except Exception:  # damaged metadata raise anything, and nothing depends on them
        return None


def _of_nwb(recording: BaseRecording) -> datetime | None:
    segment = source_segment(recording.segments[0])
    if not isinstance(segment, NwbRecordingSegment):
        return None
    data = segment.electrical_series_data
    if isinstance(data, h5py.Dataset):
        file: Any = data.file
    else:
        file = zarr.open_group(store=data.store, mode="r")
    text = np.ravel(file["session_start_time"][()])[0]
    start = datetime.fromisoformat(text.decode() if isinstance(text, bytes) else str(text))
    return start + timedelta(seconds=clock_of(recording).begin_s)


def _of_spikeglx(recording: BaseRecording) -> datetime | None:
    dates = []
    for file in header_files(recording):
        with suppress(KeyError):
            dates.append(datetime.fromisoformat(parse_spikeglx_meta(file)["fileCreateTime"]))
    return min(dates, default=None)


def _of_folder(location: str) -> datetime | None:
    found = FOLDER_DATE.findall(location)
    return datetime.strptime(found[-1], "%Y-%m-%d_%H-%M-%S") if found else None  # noqa: DTZ007
