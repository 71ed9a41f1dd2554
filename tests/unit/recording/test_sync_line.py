"""`sync.json`, which a stream's job writes and the session's job reads."""

from pathlib import Path

import numpy as np
import pytest

from spikeinterface_cloud.errors import SourceError
from spikeinterface_cloud.recording.sync.sync_line import SyncLine, read_sync_line

LINE = SyncLine(
    stream="imec0.ap",
    sampling_frequency_hz=30_000.0637,
    start_s=4.5,
    end_s=8.5,
    line="SY bit 6",
    period_s=1.0,
    started="2026-03-02T10:11:12",
    starts_with="run_g0_t0",
    rising_s=np.array([4.9000001, 5.9000333, 1 / 3 + 6]),
    falling_s=np.array([5.4, 6.4]),
)


def test_a_sync_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "sync.json"
    LINE.write(file)
    read = read_sync_line(file.read_bytes(), "sync.json")
    for name in SyncLine.__slots__:
        assert np.array_equal(getattr(read, name), getattr(LINE, name)), name


@pytest.mark.parametrize(
    ("valid", "damaged", "place"),
    [
        ('"schema_version": 1', '"schema_version": 2', "schema_version"),
        ("4.9000001", "NaN", "rising_s"),
        ("5.9000333", "3.0", "rising_s"),
        ('"line"', '"wire"', "line"),
    ],
)
def test_another_sync_json_is_refused(tmp_path: Path, valid: str, damaged: str, place: str) -> None:
    file = tmp_path / "sync.json"
    LINE.write(file)
    content = file.read_text()
    assert valid in content
    with pytest.raises(SourceError, match=f"imec0.ap/sync.json .* {place}: .* OVERWRITE=true"):
        read_sync_line(content.replace(valid, damaged), "imec0.ap/sync.json")
