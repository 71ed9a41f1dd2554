"""A recording that is too long for the memory of this machine, refused before it is sorted."""

from pathlib import Path

import numpy as np
import pytest

from spikeinterface_cloud.runtime.host import usable_memory_bytes
from spikeinterface_cloud.runtime.memory_estimate import (
    ERROR_FACTOR,
    KILOSORT4_BYTES_PER_CHANNEL_HOUR,
)
from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.job import assert_refused, run_job
from tests.support.recordings import simulate, write_binary_folder

pytestmark = [pytest.mark.integration, pytest.mark.kilosort, UNSAVED_PROVENANCE]

N_CHANNELS = 16


def write_long_recording(folder: Path, hours: float) -> Path:
    """A recording whose file has a hole in its middle, and so takes hardly any space."""
    recording, _ = simulate(duration_s=2.0, n_channels=N_CHANNELS, n_units=2)
    write_binary_folder(folder, recording)
    [file] = folder.glob("*.raw")
    written = np.fromfile(file, dtype="int16")
    n_samples = int(hours * 3600 * recording.sampling_frequency)
    with file.open("r+b") as traces:
        traces.truncate(n_samples * N_CHANNELS * 2 - written.nbytes)
        traces.seek(0, 2)
        traces.write(written.tobytes())
    return folder


def test_recording_far_beyond_the_memory_ends_with_69(tmp_path: Path) -> None:
    pytest.importorskip("kilosort", reason="Kilosort4 is not installed", exc_type=ImportError)
    too_many = 1.2 * ERROR_FACTOR * usable_memory_bytes() / KILOSORT4_BYTES_PER_CHANNEL_HOUR
    job = run_job(
        tmp_path / "job",
        {
            "SOURCE_FOLDER": str(
                write_long_recording(tmp_path / "source", hours=too_many / N_CHANNELS)
            ),
            "DATA_TYPE": "binary",
            "SORTERS": "kilosort4",
            "SORTERS_KWARGS": '{"kilosort4": {"torch_device": "cpu"}}',
        },
    )
    assert_refused(
        job,
        69,
        r"kilosort4 needs about .* GiB of memory for .* channel-hours .* are available, too little "
        r"in any case; use an instance with more memory and request it "
        r"\(spikeinterface-cloud --memory\)$",
    )
    assert job.record["recording"] is None
    assert "preprocess ..." not in job.log
