"""What the page of a session says of its streams, clocks and events."""

import re
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.session.clock import SessionClock, StreamClock
from spikeinterface_cloud.session.page import write_page
from spikeinterface_cloud.session.page_rows import (
    clock_rows,
    line_rows,
    stream_row,
    total_cost,
)
from tests.support.session_pages import (
    clock_of_session,
    events_of,
    failed_record,
    record_of_stream,
)


def test_stream_row_has_units_by_label_time_and_cost() -> None:
    row = stream_row("imec0.ap", record_of_stream())
    assert (row.status, row.report) == ("succeeded", "../imec0.ap/report.html")
    assert (row.probe, row.n_channels, row.recorded) == ("imec NP1010", "384", "1h02m")
    assert (row.seconds, row.cost) == ("30m30s", "0.41 USD")
    texts = [[each.entry.text for each in run.labels] for run in row.sorters]
    assert texts == [["60 good", "40 mua", "15 noise", "5 unlabeled"], ["50 good", "30 mua"]]
    assert [run.n_units for run in row.sorters] == [120, 80]
    assert row.notes == ["2 samples are missing at 12.5 s"]


def test_failed_stream_says_why_and_what_to_do() -> None:
    row = stream_row("imec1.ap", failed_record("ran out of memory"))
    assert row.error == "1 of 1 sorters failed (kilosort4: ran out of memory)"
    assert row.advice is not None
    assert row.advice.startswith("Exit code 70: one or more sorters failed")
    assert row.advice.endswith("To do: read the sorters' logs and run.json.")


def test_stream_without_record_has_no_link() -> None:
    row = stream_row("imec1.ap", "there is no run.json; run it again")
    assert (row.status, row.report) == ("missing", None)
    assert row.error == "there is no run.json; run it again"


def test_stream_that_ended_before_its_recording_was_open_has_a_row() -> None:
    record = {"status": "failed", "exit_code": 66, "error": "s3://lab/raw: there is nothing"}
    row = stream_row(
        "imec0.ap", {**record, "recording": None, "preprocessing": None, "sorters": []}
    )
    assert (row.n_channels, row.recorded, row.probe) == ("", "", "")


def test_link_to_a_report_is_quoted() -> None:
    assert stream_row("a b#?<'\">", record_of_stream()).report == (
        "../a%20b%23%3F%3C%27%22%3E/report.html"
    )


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([{"usd": 1.0}, {"usd": 0.25}], "1.25 USD"),
        ([{"usd": 1.0}, {"usd": None, "usd_at_most": 0.5}], "at most 1.50 USD"),
        ([{"usd": 1.0}, {"usd": None, "usd_at_most": None}], "not known"),
        ([], "not known"),
    ],
)
def test_cost_is_the_sum_where_all_are_known(costs: list[Any], expected: str) -> None:
    assert total_cost([{"cost": cost} for cost in costs]) == expected


def test_clock_rows_are_those_of_clock_json() -> None:
    nidq, aligned, own = clock_rows(clock_of_session("it has 2 pulses"))
    assert (nidq.status, nidq.pulses, nidq.drift) == ("reference", "", "")
    assert (aligned.drift, aligned.offset) == ("+12.35", "+0.1234")
    assert aligned.pulses == "3,590 of 3,600"
    assert (aligned.residual_median, aligned.residual_max) == ("0.012", "0.080")
    assert (own.status, own.why, own.pulses) == ("own", "it has 2 pulses", "0 of 2")


def test_lines_are_counted_by_stream() -> None:
    nidq, imec = line_rows(events_of("line3"))
    assert (nidq.stream, nidq.line, nidq.n_pulses, nidq.clock) == ("nidq", "line3", 3, "nidq")
    assert (nidq.first, nidq.last, nidq.duration) == ("1.000", "4.500", "20.00")
    assert (imec.n_pulses, imec.duration, imec.clock) == (1, "", "imec1.ap")


def page(tmp_path: Path, **changes: Any) -> str:
    given: dict[str, Any] = {
        "title": "run_g0",
        "records": {"imec0.ap": record_of_stream(), "imec1.ap": failed_record("no memory")},
        "clock": clock_of_session("it has 2 pulses"),
        "events": events_of("line3"),
        "files": ["units.nwb"],
    }
    return write_page(tmp_path / "session.html", **(given | changes)).read_text()


def test_page_says_which_streams_failed(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "1 of 2 streams did not succeed: imec1.ap" in text
    assert '<span class="status failed">failed</span>' in text
    assert "at most 0.50 USD" in text
    assert "imec1.ap: it has 2 pulses; its times are on its own clock" in text
    assert '<a href="units.nwb">units.nwb</a>' in text
    assert [file.name for file in tmp_path.iterdir()] == ["session.html"]


def tile(text: str, name: str) -> str | None:
    """Return the text of a tile of a page."""
    found = re.search(rf"<dt>{name}</dt><dd>(.*?)</dd>", text)
    return None if found is None else found[1]


@pytest.mark.parametrize(
    "other",
    ["there is no run.json; run it again", record_of_stream(cost={"usd": None})],
)
def test_cost_is_not_known_if_that_of_one_stream_is_not(tmp_path: Path, other: Any) -> None:
    text = page(tmp_path, records={"imec0.ap": record_of_stream(), "imec1.ap": other})
    assert tile(text, "cost of the streams") == "not known for imec1.ap"
    text = page(tmp_path, records={"imec0.ap": record_of_stream()})
    assert tile(text, "cost of the streams") == "0.41 USD"
    text = page(tmp_path, records={"imec1.ap": other})
    assert tile(text, "cost of the streams") is None


def test_page_of_a_session_that_succeeded_has_no_error(tmp_path: Path) -> None:
    clock = SessionClock(reference="nidq", streams={"nidq": StreamClock(status="reference")})
    text = page(tmp_path, records={"imec0.ap": record_of_stream()}, clock=clock, events=None)
    assert 'class="error"' not in text
    assert "No line has pulses." in text
    assert text.count("<figure") == 0


@pytest.mark.parametrize("clock", [None, SessionClock(reference=None, streams={})])
def test_page_without_a_reference_says_so(tmp_path: Path, clock: SessionClock | None) -> None:
    text = page(tmp_path, clock=clock)
    assert "so the times of each stream are on its own clock" in text
    assert "on the clock of" not in text


def test_drift_is_drawn_for_aligned_streams_alone(tmp_path: Path) -> None:
    text = page(tmp_path)
    figure = re.search(r"<figure.*?</figure>", text, re.DOTALL)
    assert figure is not None
    assert "imec0.ap" in figure[0]
    assert "imec1.ap" not in figure[0]
    assert "nan" not in figure[0].lower()


def test_page_says_what_could_not_be_gathered(tmp_path: Path) -> None:
    records = {"imec0.ap": record_of_stream()}
    text = page(tmp_path, records=records, failures=["units.nwb: it cannot be read"])
    assert '<p class="error">units.nwb: it cannot be read</p>' in text
    assert '<p><span class="status failed">failed</span></p>' in text
