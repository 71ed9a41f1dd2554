"""The events of a session are on its reference clock, to within a tenth of a millisecond."""

import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest

from spikeinterface_cloud.config.event_lines import Line, Threshold
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.recording.formats.named_lines import check_line_streams
from spikeinterface_cloud.recording.formats.session_streams import (
    SessionStream,
    list_streams,
)
from spikeinterface_cloud.recording.sync.pulses import LineEdges, SegmentEdges, StreamLines
from spikeinterface_cloud.session.clock import SessionClock, StreamClock
from spikeinterface_cloud.session.events import read_events, write_events
from tests.support.nidq import NIDQ_STEP_V, write_nidq
from tests.support.recordings import SpikeGlxRun, simulate, write_spikeglx

pytestmark = pytest.mark.integration


def line(name: str, rising_s: list[float], falling_s: list[float], **kwargs: bool) -> LineEdges:
    edges = SegmentEdges(rising_s=np.array(rising_s), falling_s=np.array(falling_s), **kwargs)
    return LineEdges(line=name, segments=[edges])


def lines(*edges: LineEdges, notes: tuple[str, ...] = ()) -> StreamLines:
    return StreamLines(lines={each.line: each for each in edges}, notes=notes)


#: 60 ppm slow, and started 100 s later
OBX = StreamClock(
    status="aligned",
    own_s=np.array([0.0, 1000.0]),
    reference_s=np.array([100.0, 1100.06]),
)
CLOCK = SessionClock(
    reference="nidq",
    streams={
        "nidq": StreamClock(status="reference"),
        "obx0": OBX,
        "imec0.ap": StreamClock(status="own", why="too few pulses"),
    },
)


def test_pulses_of_aligned_streams_are_on_the_reference_clock(tmp_path: Path) -> None:
    streams = {
        "imec0.ap": lines(line("line6", [3.0], [3.5])),
        "nidq": lines(line("line3", [150.0, 700.25], [150.01, 700.5]), line("XA2", [140.0], [])),
        "obx0": lines(line("line1", [500.0], [600.0])),
    }
    events = write_events(tmp_path / "events.csv", streams, CLOCK)
    table = pd.read_csv(tmp_path / "events.csv")
    truth = [
        (140.0, np.nan, "nidq", "XA2", 140.0, "nidq"),
        (150.0, 0.01, "nidq", "line3", 150.0, "nidq"),
        (600.03, 100.006, "obx0", "line1", 500.0, "nidq"),
        (700.25, 0.25, "nidq", "line3", 700.25, "nidq"),
        (3.0, 0.5, "imec0.ap", "line6", 3.0, "imec0.ap"),
    ]
    expected = pd.DataFrame(truth, columns=table.columns)
    pd.testing.assert_frame_equal(table, expected, rtol=0, atol=1e-6)
    assert events.describe()["n"] == 5
    assert {"stream": "nidq", "line": "line3", "n": 2} in events.describe()["lines"]
    [note] = events.notes
    assert note.startswith("nidq: XA2 was still high")


def streams_of(folder: Path) -> dict[str, SessionStream]:
    names = {PurePosixPath(file.name): file.stat().st_size for file in folder.iterdir()}
    found = list_streams("spikeglx", names)
    return {stream.identifier: stream for stream in [*found.auxiliary, *found.sortable]}


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A probe, an NI-DAQ with a pulse on each of two lines, and one on an analog input."""
    words = np.zeros((50_000, 1), dtype="uint16")
    words[1000:1010] |= 1 << 3
    words[2000:3000] |= 1 << 5
    analog = np.zeros((50_000, 2), dtype="int16")
    analog[7000:7100, 1] = round(3.0 / NIDQ_STEP_V)
    write_nidq(tmp_path / "run_g0_t0", words, analog)
    probe, _ = simulate(duration_s=1.0, n_channels=4, n_units=1)
    run = write_spikeglx(tmp_path / "probe", probe, SpikeGlxRun(name="run", with_lf=False))
    for file in run.rglob("*.ap.*"):
        file.rename(tmp_path / file.name)
    shutil.rmtree(tmp_path / "probe")
    return tmp_path


def test_events_are_read_from_the_files_of_all_streams(session: Path) -> None:
    thresholds = {Line("nidq", "XA1"): Threshold(1.5, 0.2)}
    found = read_events(session, "spikeglx", streams_of(session), thresholds)
    assert not found["imec0.ap"].lines
    rising = {name: edges.rising_s.tolist() for name, edges in found["nidq"].lines.items()}
    assert rising == {"line3": [0.04], "line5": [0.08], "XA1": [0.28]}


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("EVENTS", '{"niqd:XA1": {"threshold_v": 1.5}}'),
        ("PREPROCESSING", '{"remove_artifacts": {"triggers": "niqd:line3"}}'),
        ("CLOCK_LINE", "niqd:line3"),
    ],
)
def test_lines_of_a_stream_that_is_not_there_are_refused(
    session: Path, variable: str, text: str
) -> None:
    job = {"SOURCE_FOLDER": str(session), "DATA_TYPE": "spikeglx", "SORTERS": "simple"}
    if variable != "PREPROCESSING":
        job["CLOCK"] = "nidq"
    wrong = JobSettings.from_env(job | {variable: text})
    streams = list(streams_of(session).values())
    with pytest.raises(SettingsError, match=rf"{variable}: 'niqd' is not .*did you mean nidq\?"):
        check_line_streams(wrong, streams)
    check_line_streams(
        JobSettings.from_env(job | {variable: text.replace("niqd", "nidq")}), streams
    )


def test_without_a_reference_each_stream_keeps_its_own_clock(tmp_path: Path) -> None:
    clock = SessionClock(reference=None, streams={"nidq": StreamClock(status="own")})
    streams = {"nidq": lines(line("line3", [1.5], [2.0])), "obx0": lines(line("line0", [1], [2]))}
    write_events(tmp_path / "events.csv", streams, clock)
    table = pd.read_csv(tmp_path / "events.csv")
    assert table["clock"].tolist() == ["nidq", "obx0"]
    assert table["time_s"].tolist() == table["own_time_s"].tolist() == [1.5, 1.0]


def test_a_session_without_events_has_a_table_without_rows(tmp_path: Path) -> None:
    streams = {"nidq": lines(line("line4", [], [], high_at_start=True), notes=("line9: noise",))}
    events = write_events(tmp_path / "events.csv", streams, CLOCK)
    assert (tmp_path / "events.csv").read_text() == (
        "time_s,duration_s,stream,line,own_time_s,clock\n"
    )
    assert events.describe()["n"] == 0
    assert events.notes[0] == "nidq: line9: noise"
    assert "high already" in events.notes[1]
    write_events(tmp_path / "none.csv", {}, CLOCK)
    assert (tmp_path / "none.csv").read_text() == (tmp_path / "events.csv").read_text()
