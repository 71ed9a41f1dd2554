"""CLOCK_LINE names the sync lines of streams."""

import pytest

from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError

JOB = {
    "SOURCE_FOLDER": "/data/run_g0",
    "DATA_TYPE": "spikeglx",
    "SORTERS": "simple",
    "CLOCK": "nidq",
}


def test_lines_of_several_streams_are_read_and_written() -> None:
    environ = {**JOB, "CLOCK_LINE": "nidq:line3, ProbeA-AP:line1"}
    settings = JobSettings.from_env(environ)
    assert settings.clock_line == ("nidq:line3", "ProbeA-AP:line1")
    assert JobSettings.from_env(settings.to_env()) == settings


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("line3", "'line3' is not a line of a stream; write it like nidq:line3"),
        ("nidq:line3,nidq:line4", "names two lines of nidq"),
    ],
)
def test_what_is_not_one_line_of_a_stream_is_refused(text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"CLOCK_LINE: {reason}"):
        JobSettings.from_env({**JOB, "CLOCK_LINE": text})


def test_a_line_without_a_reference_is_refused() -> None:
    environ = {name: text for name, text in JOB.items() if name != "CLOCK"}
    with pytest.raises(SettingsError, match="CLOCK_LINE: has no effect alone"):
        JobSettings.from_env({**environ, "CLOCK_LINE": "nidq:line3"})


@pytest.mark.parametrize(("clock", "wanted"), [("nidq", True), ("none", False)])
def test_a_job_has_a_sync_line_unless_clocks_are_not_aligned(clock: str, wanted: bool) -> None:
    assert JobSettings.from_env({**JOB, "CLOCK": clock}).wants_sync is wanted
