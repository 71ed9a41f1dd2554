"""Times of a stream on the reference clock."""

import json
from pathlib import Path

import numpy as np

from spikeinterface_cloud.session.clock import Jump, SessionClock, StreamClock

ALIGNED = StreamClock(
    status="aligned",
    jumps=(Jump(own_begin_s=19.5, own_end_s=20.5, size_s=1.0),),
    own_s=np.array([10.0, np.nextafter(20.0, 0), 20.0, 30.0]),
    reference_s=np.array([110.0, 120.1, 121.1, 131.1]),
)


def test_times_are_interpolated_between_knots_and_extrapolated_beyond_them() -> None:
    times_s = ALIGNED.to_reference(np.array([0.0, 15.0, 25.0, 40.0]))
    np.testing.assert_allclose(times_s, [99.9, 115.05, 126.1, 141.1], atol=1e-9)


def test_a_jump_is_not_smeared() -> None:
    times_s = ALIGNED.to_reference(np.array([19.999, 20.0, 20.001]))
    np.testing.assert_allclose(times_s, [120.1 - 0.00101, 121.1, 121.101], atol=1e-9)


def test_a_stream_on_its_own_clock_keeps_its_times() -> None:
    times_s = np.array([1.0, 2.5])
    for status in ("own", "reference"):
        np.testing.assert_array_equal(StreamClock(status=status).to_reference(times_s), times_s)


def test_clock_json_gives_the_mapping_to_numpy(tmp_path: Path) -> None:
    file = tmp_path / "clock.json"
    streams = {"nidq": StreamClock(status="reference"), "imec0.ap": ALIGNED}
    SessionClock(reference="nidq", streams=streams).write(file)
    content = json.loads(file.read_text())
    assert content["reference"] == "nidq"
    stream = content["streams"]["imec0.ap"]
    times_s = np.array([10.0, 19.999999, 20.0, 30.0])
    mapped_s = np.interp(times_s, stream["own_s"], stream["reference_s"])
    np.testing.assert_allclose(mapped_s, ALIGNED.to_reference(times_s), atol=1e-9)
    assert stream["jumps"] == [{"own_begin_s": 19.5, "own_end_s": 20.5, "size_s": 1.0}]
