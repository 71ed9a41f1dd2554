"""The preprocessed recording as one binary file: written once, and reused by the next attempt.

A JSON file beside it, written last, describes its content. It is valid until the host reboots, as
bytes that were not yet on the disk by then are lost.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import spikeinterface as si

from spikeinterface_cloud.errors import UnavailableError
from spikeinterface_cloud.recording.formats.saved_folder import open_saved_folder, refuse_pickles
from spikeinterface_cloud.recording.messages import one_line
from spikeinterface_cloud.results.run_record import json_of
from spikeinterface_cloud.runtime.disk import disk_errors
from spikeinterface_cloud.runtime.host import boot_id, free_disk_bytes
from spikeinterface_cloud.runtime.logging import format_bytes

logger = logging.getLogger(__name__)


def write_once(
    recording: si.BaseRecording, steps: Sequence[Mapping[str, Any]], folder: Path
) -> si.BaseRecording:
    """Write a recording to `folder`, unless an earlier attempt has done so.

    Parameters
    ----------
    recording
        one segment, of a dtype that every sorter takes
    steps
        of preprocessing, which identify the recording together with its shape
    folder
        in the scratch folder of this job, so that the source is the same
    """
    mark = folder.with_name(f"{folder.name}.json")
    content = _describe(recording, steps)
    if mark.is_file() and mark.read_text() == content and folder.is_dir():
        try:
            refuse_pickles(folder)
            earlier = open_saved_folder(folder)
        except Exception as error:  # it is damaged, and for that SpikeInterface raises anything
            logger.info("%s is written again, as it cannot be read: %s", folder, one_line(error))
        else:
            logger.info("the preprocessed recording of an earlier attempt is reused")
            return earlier
    mark.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    size_bytes = recording.get_total_memory_size()
    if size_bytes > free_disk_bytes(folder):
        raise UnavailableError(
            f"{folder}: the preprocessed recording takes {format_bytes(size_bytes)} and only "
            f"{format_bytes(free_disk_bytes(folder))} are free; give the job more scratch space"
        )
    with disk_errors(folder):
        written = recording.save(folder=folder, format="binary", verbose=False)
        mark.write_text(content)
    return written


def _describe(recording: si.BaseRecording, steps: Sequence[Mapping[str, Any]]) -> str:
    return json_of(
        {
            "steps": steps,
            "channels": [str(name) for name in recording.channel_ids],
            "n_samples": recording.get_num_samples(),
            "dtype": str(recording.get_dtype()),
            "boot": boot_id(),
        }
    )
