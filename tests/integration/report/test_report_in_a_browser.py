"""`report.html` as a person sees it: in a real headless Chromium, on a desk and on a phone."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from spikeinterface_cloud.report.page import write_report
from spikeinterface_cloud.report.sample import RecordingSample
from spikeinterface_cloud.session.page import write_page
from tests.support.reports import (
    HOSTILE,
    record_of,
    run_of,
    sample_of,
    write_agreement,
    write_sorter,
)
from tests.support.session_pages import (
    clock_of_session,
    events_of,
    failed_record,
    record_of_stream,
)

# SpikeInterface says so of recordings in memory, which nobody here wants to find again
pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The (extractor|Recording) is not serializable"),
]

N_UNITS = 400
LARGEST_BYTES = 10_000_000

#: a phone is narrow, and has two or three pixels a point
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


@dataclass(kw_only=True)
class Opened:
    """A page in the browser, and what it has said and asked for."""

    page: Page
    #: messages of the console, and errors of scripts
    said: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    def column(self, heading: str) -> list[str]:
        """The texts of a column of the first table of units."""
        script = """heading => {
            const table = document.querySelector("table.sortable");
            const index = [...table.tHead.rows[0].cells]
                .findIndex(cell => cell.innerText.startsWith(heading));
            return [...table.tBodies[0].rows].map(row => row.cells[index].innerText);
        }"""
        texts: list[str] = self.page.evaluate(script, heading)
        return texts


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a job with three sorters: 400 units, a hostile handful, and a failure."""
    folder = tmp_path_factory.mktemp("results")
    many = [str(number) for number in range(N_UNITS)]
    write_sorter(folder / "kilosort4", many)
    hostile = [HOSTILE, "<img src='https://example.org/x.png'>", '"><b>bold</b>']
    write_sorter(folder / "<i>sorter", hostile, with_gain=False)
    write_agreement(folder / "comparison", [("kilosort4", many[0], "<i>sorter", HOSTILE)])
    record = record_of(
        run_of("kilosort4", N_UNITS),
        run_of("<i>sorter", len(hostile)),
        run_of("simple", outcome="failed", reason=f"killed {HOSTILE}"),
        status="failed",
        error=f"1 of 3 sorters failed {HOSTILE}",
        run_identifier=HOSTILE,
        n_consensus_units=1,
    )
    record.settings = {"RUN_IDENTIFIER": HOSTILE, "SOURCE_FOLDER": "</style><script>alert(1)//"}
    record.source = {"location": f"s3://lab/raw/{HOSTILE}.nwb"}
    hostile_recording = {"stream_name": HOSTILE, "notes": [f"left out {HOSTILE}"]}
    record.recording = {**record.recording, **hostile_recording}
    sorters = [run.sorter for run in record.sorters]
    return write_report(folder, record, sorters, with_hostile_channel(sample_of()))


def with_hostile_channel(sample: RecordingSample) -> RecordingSample:
    """The sample, in which the channel that is bad has another name."""

    def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(HOSTILE if name == "AP3" else name for name in names)

    assert sample.contacts is not None
    contacts = replace(
        sample.contacts, channel_ids=renamed(sample.contacts.channel_ids), bad={HOSTILE: "dead"}
    )
    before = replace(sample.before, channel_ids=renamed(sample.before.channel_ids))
    return replace(sample, contacts=contacts, before=before, after=before)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None and os.environ.get("CI"):
        pytest.fail("chromium is not installed")
    if chromium is None:
        pytest.skip("chromium is not installed; apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium,
            # its sandbox does not start for root
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        yield running
        running.close()


def opened(browser: Browser, file: Path, device: dict[str, Any]) -> Opened:
    """The page, loaded, on a device."""
    context = browser.new_context(**device)
    found = Opened(page=context.new_page())
    found.page.on("console", lambda message: found.said.append(message.text))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on("request", lambda request: found.requested.append(request.url))
    found.page.goto(file.as_uri())
    return found


@pytest.fixture(scope="module")
def on_a_desk(browser: Browser, report: Path) -> Opened:
    return opened(browser, report, DESK)


def test_page_is_small(report: Path) -> None:
    assert report.stat().st_size < LARGEST_BYTES


def test_page_makes_no_requests_and_logs_no_errors(on_a_desk: Opened, report: Path) -> None:
    on_a_desk.page.wait_for_timeout(200)
    assert on_a_desk.requested == [report.as_uri()]
    assert on_a_desk.said == []


def test_every_figure_is_drawn(on_a_desk: Opened) -> None:
    page = on_a_desk.page
    titles = page.locator("figure:not(.missing) h4").all_inner_texts()
    assert titles == [
        "Probe",
        "Spectrum",
        "Traces before preprocessing",
        "Traces after preprocessing",
        "Drift map",
        "Peaks by depth",
        *["Raster", "Depth and amplitude"] * 2,
    ]
    assert page.locator("table.sortable").first.locator("tbody tr").count() == N_UNITS
    assert page.locator("table.sortable").first.locator("svg.spark").count() == 2 * N_UNITS
    for plot in page.locator("figure svg.plot").all():
        box = plot.bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 150
    assert (
        page.locator("svg.plot path").evaluate_all(
            "paths => paths.filter(path => /NaN|inf/i.test(path.getAttribute('d'))).length"
        )
        == 0
    )


def test_user_texts_are_not_interpreted_as_html(on_a_desk: Opened) -> None:
    page = on_a_desk.page
    assert page.title() == f"{HOSTILE}: spike sorting"
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("img, main i, main b:not(.matrix b)").count() == 0
    assert page.locator("tbody th", has_text=HOSTILE).count() == 1
    assert page.locator("p.error", has_text=HOSTILE).count() == 2
    assert page.locator("figure", has_text=f"left out: {HOSTILE}").count() == 2
    assert page.locator("body", has_text=f"s3://lab/raw/{HOSTILE}.nwb").count() == 1
    assert page.locator("script").count() == 1


def test_click_sorts_numerically_with_missing_values_last(on_a_desk: Opened) -> None:
    page = on_a_desk.page
    button = page.locator("table.sortable").first.get_by_role("button", name="SNR")
    known = sorted((index * 37) % 101 / 10 for index in range(N_UNITS) if index != 2)
    button.click()
    assert [float(text) for text in on_a_desk.column("SNR")[:-1]] == known
    assert on_a_desk.column("SNR")[-1] == ""
    button.click()
    assert [float(text) for text in on_a_desk.column("SNR")[:-1]] == known[::-1]
    assert on_a_desk.column("SNR")[-1] == ""
    heading = page.locator("table.sortable").first.locator("th[aria-sort]")
    assert heading.get_attribute("aria-sort") == "descending"
    assert heading.count() == 1


def test_unit_ids_are_sorted_naturally(on_a_desk: Opened) -> None:
    on_a_desk.page.locator("table.sortable").first.get_by_role("button", name="unit").click()
    assert on_a_desk.column("unit")[:12] == [str(number) for number in range(12)]


def test_labels_can_be_hidden(on_a_desk: Opened) -> None:
    page = on_a_desk.page
    noise = page.locator(".filter").first.locator("input[value=noise]")
    rows = page.locator("table.sortable").first.locator("tbody tr:visible")
    noise.uncheck()
    assert rows.count() == N_UNITS - N_UNITS // 3
    noise.check()
    assert rows.count() == N_UNITS


def test_phone_needs_no_horizontal_scrolling(browser: Browser, report: Path) -> None:
    phone = opened(browser, report, PHONE)
    width = phone.page.evaluate("document.documentElement.scrollWidth")
    assert width == phone.page.evaluate("window.innerWidth") == PHONE["viewport"]["width"]
    smallest = phone.page.locator("svg.plot").first.evaluate(
        "plot => 19 * plot.getBoundingClientRect().width / plot.viewBox.baseVal.width"
    )
    assert smallest >= 10  # points: text that can still be read
    assert phone.said == []


def test_screenshots(browser: Browser, report: Path, tmp_path: Path) -> None:
    """What the page looks like, kept for people; REPORT_SCREENSHOTS names a folder for them."""
    folder = Path(os.environ.get("REPORT_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    for name, device in (("desk", DESK), ("phone", PHONE)):
        file = folder / f"report-{name}.png"
        opened(browser, report, device).page.screenshot(path=file)
        assert len(file.read_bytes()) > 20_000  # more than a blank page


@pytest.fixture(scope="module")
def session_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a session with hostile names, of which one stream failed and one is missing."""
    folder = tmp_path_factory.mktemp("session")
    hostile_record = record_of_stream()
    hostile_record["recording"] |= {"probes": [HOSTILE], "notes": [f"left out {HOSTILE}"]}
    hostile_record["sorters"][0]["sorter"] = HOSTILE
    return write_page(
        folder / "session.html",
        title=HOSTILE,
        records={
            "imec0.ap": record_of_stream(),
            HOSTILE: hostile_record,
            "imec1.ap": failed_record(f"killed {HOSTILE}"),
            "imec2.ap": f"there is no run.json {HOSTILE}; run it again",
        },
        clock=clock_of_session(f"it has 2 pulses {HOSTILE}"),
        events=events_of(HOSTILE),
        notes=[f"events: {HOSTILE}"],
        files=["clock.json", "events.csv", "units.nwb"],
    )


def test_page_of_a_session_opens_without_errors_and_requests(
    browser: Browser, session_page: Path
) -> None:
    found = opened(browser, session_page, DESK)
    found.page.wait_for_timeout(200)
    assert found.requested == [session_page.as_uri()]
    assert found.said == []
    assert found.page.title() == f"{HOSTILE}: spike sorting"
    assert found.page.locator("script").count() == 1
    assert found.page.locator("#streams tbody").count() == 4
    assert found.page.locator("body", has_text=f"left out {HOSTILE}").count() == 1
    links = found.page.locator("#streams a").evaluate_all("links => links.map(link => link.href)")
    assert links[0] == session_page.parent.parent.joinpath("imec0.ap/report.html").as_uri()
    assert links[1] == session_page.parent.parent.joinpath(HOSTILE, "report.html").as_uri()
    assert len(links) == 3


@pytest.mark.parametrize("device", [DESK, PHONE])
def test_page_of_a_session_needs_no_horizontal_scrolling(
    browser: Browser, session_page: Path, device: dict[str, Any], tmp_path: Path
) -> None:
    found = opened(browser, session_page, device)
    width = found.page.evaluate("document.documentElement.scrollWidth")
    assert width == device["viewport"]["width"]
    folder = Path(os.environ.get("REPORT_SCREENSHOTS", tmp_path))
    name = "phone" if device is PHONE else "desk"
    found.page.screenshot(path=folder / f"session-{name}.png", full_page=True)
