"""What the report says where something is missing, and how it draws."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup

from spikeinterface_cloud.report.agreement import read_agreement
from spikeinterface_cloud.report.axis import Axis, spanning
from spikeinterface_cloud.report.colors import LABELS, OTHER
from spikeinterface_cloud.report.page import write_report
from spikeinterface_cloud.report.plot import MARKS, Plot, thinned
from spikeinterface_cloud.report.recording import drift_figures, recorded_figures
from spikeinterface_cloud.report.sparkline import histogram, waveforms
from spikeinterface_cloud.report.writer import Report
from spikeinterface_cloud.results.run_record import RunRecord
from tests.support.reports import contacts_of, record_of, run_of, sample_of, write_agreement


class Links(HTMLParser):
    """Everything in a page that a browser may fetch, and the text that people read."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(
        self,
        tag: str,  # noqa: ARG002 -- the parser's own name
        attrs: list[tuple[str, str | None]],
    ) -> None:
        wanted = ("src", "href", "srcset", "data", "action", "xlink:href")
        self.addresses += [value or "" for name, value in attrs if name in wanted]

    def handle_data(self, data: str) -> None:
        self.text += data


def written(folder: Path, record: RunRecord, *sorters: str) -> Links:
    page = write_report(folder, record, sorters, None).read_text()
    return Links(page)


def test_job_without_open_recording_has_a_report(tmp_path: Path) -> None:
    record = RunRecord(settings={}, run_identifier=None, error="s3://lab/raw: there is nothing")
    text = written(tmp_path, record, "simple").text
    assert "s3://lab/raw: there is nothing" in text
    assert text.count("The job ended before the recording was preprocessed") == 6
    assert "The job ended before this sorter did." in text
    assert "Fewer than two sorters found units" in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"outcome": "failed", "reason": "killed by SIGKILL"}, "killed by SIGKILL"),
        ({"outcome": "no_units", "reason": "no more peaks than noise"}, "no more peaks than noise"),
        ({"n_units": 3}, "The units were not analyzed"),
    ],
)
def test_sorter_without_results_is_explained(
    changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    assert expected in written(tmp_path, record_of(run_of("simple", **changes)), "simple").text


def test_unreadable_analyzer_affects_only_its_section(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "simple" / "analyzer.zarr").mkdir(parents=True)
    text = written(tmp_path, record_of(run_of("simple", 3)), "simple").text
    assert "The analyzer cannot be read" in text
    assert "Settings and versions" in text
    assert "its analyzer cannot be read" in caplog.text


def test_interrupted_job_reads_no_units(tmp_path: Path) -> None:
    (tmp_path / "simple" / "analyzer.zarr").mkdir(parents=True)
    record = record_of(run_of("simple", 3), status="interrupted", error="stopped by SIGTERM")
    text = written(tmp_path, record, "simple", "lupin").text
    assert "stopped by SIGTERM" in text
    assert "The job was stopped before its units could be drawn" in text
    assert "The job ended before this sorter did." in text
    assert "cannot be read" not in text


def test_page_has_no_external_links(tmp_path: Path) -> None:
    addresses = written(tmp_path, record_of(run_of("simple")), "simple").addresses
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)


def test_missing_preprocessing_is_reported(tmp_path: Path) -> None:
    record = record_of(preprocessing={"steps": [], "bad_channels": {}})
    assert "The recording was sorted without preprocessing." in written(tmp_path, record).text
    record.preprocessing = {"steps": [{"name": "phase_shift", "params": {}}]}
    assert "phase_shift" in written(tmp_path, record).text


def test_secrets_are_masked(tmp_path: Path) -> None:
    text = written(tmp_path, record_of()).text
    assert re.search(r"DANDI_API_KEY\s*\*\*\*", text)


def test_failed_report_does_not_fail_the_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = record_of()
    Report(folder=tmp_path / "not there", record=record, sorters=[]).write()
    assert "report.html could not be written" in caplog.text
    assert record.steps[-1].name == "write the report"


def test_probe_at_a_single_depth_has_no_drift_map() -> None:
    flat = sample_of(contacts=contacts_of(np.zeros(4)))
    assert {figure.caption for figure in drift_figures(flat)} == {
        "All channels lie at the same depth."
    }
    assert all(figure.plot for figure in recorded_figures(flat))


def test_recording_without_peaks_or_probe_is_explained() -> None:
    quiet = sample_of(n_peaks=0)
    assert {figure.caption for figure in drift_figures(quiet)} == {
        "There are no peaks in this recording."
    }


def test_unscaled_values_are_labeled_counts() -> None:
    figures = recorded_figures(sample_of(unit="counts")) + drift_figures(sample_of(unit="counts"))
    drawn = " ".join(f"{f.plot}{f.caption}{[entry.text for entry in f.legend]}" for f in figures)
    assert "counts" in drawn
    assert "µV" not in drawn


def test_bad_channels_are_marked_and_named() -> None:
    probe = recorded_figures(sample_of())[0]
    assert probe.plot is not None
    assert "<title>AP3: dead</title>" in probe.plot
    assert [entry.text for entry in probe.legend] == ["63 good channels", "dead: AP3"]


def test_agreement_counts_units_of_the_row(tmp_path: Path) -> None:
    write_agreement(tmp_path, [("a", "1", "b", "7"), ("a", "2", "b", "8")])
    matrix = read_agreement(tmp_path, {"a": 2, "b": 8, "c": 0})
    assert matrix is not None
    assert matrix.rows == {"a": {"a": 2, "b": 2}, "b": {"a": 2, "b": 8}}


def test_overlapping_dots_are_drawn_once() -> None:
    unit = Axis(label="", lower=0.0, upper=1.0)
    plot = Plot(unit, unit)
    plot.dots([0.5] * 1000, [0.5] * 1000, "#000000")
    assert plot.draw("dots").count("h0") == 1


def test_names_in_a_plot_are_escaped() -> None:
    unit = Axis(label="<b>", lower=0.0, upper=1.0)
    plot = Plot(unit, unit)
    plot.marks([0.5], [0.5], ("#000000", "circle"), ["<script>"])
    drawn = plot.draw('"><img>')
    assert isinstance(drawn, Markup)
    assert not re.search("<(b|script|img)>", drawn)


@pytest.mark.parametrize("values", [[], [3.0], [0.0, 0.0], [-1e-9, 1e-9], [np.nan, 5.0, 1e6]])
def test_axis_has_a_few_ticks_for_any_values(values: list[float]) -> None:
    axis = spanning("", values)
    assert axis.lower < axis.upper
    assert 1 <= len(axis.ticks()) <= 8
    assert np.isfinite(axis.fraction([axis.lower, axis.upper])).all()


def test_sparklines_are_drawn_for_silent_units() -> None:
    silent = np.zeros(90)
    for drawing in (waveforms(silent, []), histogram(np.zeros(100, dtype="int64"))):
        assert "nan" not in drawing


def test_labels_have_distinct_marks() -> None:
    styles = [*LABELS.values(), OTHER]
    assert len({color for color, _ in styles}) == len({mark for _, mark in styles}) == 4
    assert {mark for _, mark in styles} == MARKS.keys()


def test_thinning_is_ordered_and_reproducible() -> None:
    chosen = thinned(1000, 10)
    assert len(chosen) == 10
    assert (np.diff(chosen) > 0).all()
    assert (chosen == thinned(1000, 10)).all()
    assert (thinned(5, 10) == np.arange(5)).all()
