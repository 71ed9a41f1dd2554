"""A sorter's folder from attempt to attempt, here and on S3: what is believed, what is replaced,
and that nothing is lost or mixed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.errors import UnavailableError
from spikeinterface_cloud.results.outcomes import ExportRun, GroupRun
from tests.support.hosts import RUN, Host, analyze, sort, write
from tests.support.servers import S3Server

pytestmark = pytest.mark.integration

FAILED = replace(RUN, outcome="failed", n_units=0, reason="it broke")

FAILED_GROUP = GroupRun(
    group="left", outcome="failed", n_channels=4, n_units=0, reason="it broke", seconds=1.0,
    parameters={},
)  # fmt: skip
WHOLE_GROUP = replace(FAILED_GROUP, group=1, outcome="sorted", n_units=RUN.n_units, reason=None)


COMPLETE = {
    "analyzer.zarr/templates": b"units",
    "output.log": b"finding units",
    "phy/params": b"units",
    "sorting/spikes": b"curated units",
}


def without_record(kept: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in kept.items() if name != "completed.json"}


def test_empty_folder_has_no_earlier_results(host: Callable[[str], Host]) -> None:
    assert host("one").attempt().earlier is None


def test_next_attempt_resumes_a_finished_sorter(host: Callable[[str], Host]) -> None:
    first = host("one").attempt()
    sort(first, "units")
    analyze(first, "units")
    assert without_record(host("one").kept()) == COMPLETE
    again = host("two").attempt()
    fetched = again.fetch()
    assert fetched is not None
    assert fetched.analyzed
    assert fetched.sorter_run() == replace(RUN, outcome="resumed")
    assert [export.export for export in again.earlier_exports()] == ["phy"]
    assert (again.path / "sorting" / "spikes").read_text() == "curated units"
    before = host("two").kept()
    again.finish(fetched.sorter_run(), [])
    assert host("two").kept() == before
    assert json.loads(before["completed.json"])["run"]["outcome"] == "sorted"


def test_results_that_do_not_fit_name_the_disk_of_the_results(
    moto_s3: S3Server, bucket: str, tmp_path: Path, small_disk: Path
) -> None:
    first = Host(tmp_path / "first", moto_s3, bucket).attempt()
    sort(first, "units" * 10_000_000)
    again = Host(small_disk, moto_s3, bucket).attempt()
    with pytest.raises(UnavailableError, match="give RESULTS_FOLDER a disk with room") as caught:
        again.fetch()
    assert "SCRATCH_FOLDER" not in str(caught.value)
    assert caught.value.exit_code == 69


def test_next_attempt_runs_a_sorter_again_that_failed_for_a_group(
    host: Callable[[str], Host],
) -> None:
    """The units of the other groups are not lost until then."""
    first = host("one").attempt()
    sort(first, "units")
    first.finish_sorting(replace(RUN, split_by="side", groups=(WHOLE_GROUP, FAILED_GROUP)))
    assert host("two").attempt().earlier is None
    assert "raw_sorting/spikes" in host("two").kept()
    first.finish_sorting(replace(RUN, split_by="side", groups=(WHOLE_GROUP,)))
    fetched = host("two").attempt().fetch()
    assert fetched is not None
    assert fetched.sorter_run().groups == (WHOLE_GROUP,)


def test_groups_that_were_published_stay_if_the_sorter_fails_for_all_later(
    moto_s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    hosts = [Host(tmp_path / name, moto_s3, bucket) for name in ("one", "two", "three")]
    first = hosts[0].attempt()
    sort(first, "units")
    first.finish_sorting(replace(RUN, split_by="side", groups=(WHOLE_GROUP, FAILED_GROUP)))
    before = hosts[1].kept()
    again = hosts[1].attempt()
    again.clear()
    write(again, **{"output.log": "a GPU broke"})
    again.finish(FAILED, [])
    assert hosts[2].kept() == before


def test_next_attempt_resumes_a_sorting_without_analysis(host: Callable[[str], Host]) -> None:
    sort(host("one").attempt(), "units")
    again = host("two").attempt()
    fetched = again.fetch()
    assert fetched is not None
    assert not fetched.analyzed
    assert fetched.sorting_folder() == "raw_sorting"
    assert (again.path / "raw_sorting" / "spikes").read_text() == "units"
    analyze(again, "units")
    assert without_record(host("two").kept()) == COMPLETE
    assert host("three").attempt().earlier is not None


def test_files_of_a_killed_analysis_are_replaced(host: Callable[[str], Host]) -> None:
    first = host("one").attempt()
    sort(first, "units")
    write(first, sorting__spikes="half of it")
    (first.path / "quality_metrics.csv").write_text("half of it")
    (first.path / "analyzer.zarr").mkdir()
    (first.path / "analyzer.zarr" / "templates").write_text("half of it")
    again = host("one").attempt()
    fetched = again.fetch()
    assert fetched is not None
    assert fetched.sorting_folder() == "raw_sorting"
    left = {path.name for path in again.path.iterdir()}
    assert left == {"raw_sorting", "output.log", "completed.json"}
    analyze(again, "units")
    assert without_record(host("one").kept()) == COMPLETE


def test_failed_analysis_keeps_the_sorting(host: Callable[[str], Host]) -> None:
    first = host("one").attempt()
    sort(first, "units")
    first.finish(replace(RUN, outcome="failed", reason="found 3 units, but ..."), [])
    kept = without_record(host("one").kept())
    assert kept == {"output.log": b"finding units", "sorting/spikes": b"units"}
    fetched = host("two").attempt().fetch()
    assert fetched is not None
    assert (fetched.analyzed, fetched.sorting_folder()) == (False, "sorting")
    assert fetched.sorter_run().reason is None


@pytest.mark.parametrize("name", ["sorting/spikes", "analyzer.zarr/templates", "output.log"])
def test_changed_file_is_not_resumed_from(
    host: Callable[[str], Host], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = host("one").attempt()
    sort(first, "units")
    analyze(first, "units")
    host("one").put(name, COMPLETE[name][::-1])
    assert host("two").attempt().earlier is None
    assert f"simple: an earlier attempt cannot be used: {name} was changed" in caplog.text


def change_run(content: dict[str, Any], **changes: object) -> None:
    content["run"] |= changes


HOSTILE_COMPLETIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another sorter": lambda content: change_run(content, sorter="kilosort4"),
    "NaN seconds": lambda content: change_run(content, seconds=float("nan")),
    "seconds without end": lambda content: change_run(content, seconds=1e40),
    "negative units": lambda content: change_run(content, n_units=-5),
    "more units than there can be": lambda content: change_run(content, n_units=10**40),
    "negative labels": lambda content: change_run(content, labels={"good": -1}),
    "a file above the folder": lambda content: content["files"][0].update(path="sorting/../../x"),
    "a file elsewhere": lambda content: content["files"][0].update(path="/etc/passwd"),
    "a file of the user": lambda content: content["files"][0].update(path="my_notes.txt"),
    "a negative size": lambda content: content["files"][0].update(size_bytes=-1),
    "exports of another sorter": lambda content: content["exports"][0].update(sorter="lupin"),
}


@pytest.mark.parametrize("change", HOSTILE_COMPLETIONS.values(), ids=HOSTILE_COMPLETIONS)
def test_completed_json_with_impossible_content_is_not_resumed_from(
    host: Callable[[str], Host], change: Callable[[dict[str, Any]], object]
) -> None:
    first = host("one").attempt()
    sort(first, "units")
    analyze(first, "units")
    assert host("two").attempt().earlier is not None
    content = json.loads(host("one").kept()["completed.json"])
    change(content)
    host("one").put("completed.json", json.dumps(content).encode())
    assert host("two").attempt().earlier is None


@pytest.mark.parametrize("content", [b"[" * 200_000, b"null", b"1", b'"\\ud800"', b"\xff"])
def test_completed_json_and_run_json_that_are_no_records_are_not_resumed_from(
    host: Callable[[str], Host], content: bytes
) -> None:
    sort(host("one").attempt(), "units")
    host("one").put("completed.json", content)
    host("one").put("run.json", content, folder="")
    second = host("two")
    assert second.attempt().earlier is None
    (second.results.folder / "run.json").write_bytes(content)
    (second.results.folder / "simple" / "completed.json").unlink(missing_ok=True)
    assert not second.results.folder_keeps_earlier_run()


def test_decisions_in_phy_are_kept(host: Callable[[str], Host]) -> None:
    first = host("one").attempt()
    sort(first, "units")
    analyze(first, "units")
    host("one").put("phy/params", b"decided")
    host("one").put("phy/more.tsv", b"decided too")
    again = host("two").attempt()
    fetched = again.fetch()
    assert fetched is not None
    again.finish(fetched.sorter_run(), [])
    kept = host("two").kept()
    assert (kept["phy/params"], kept["phy/more.tsv"]) == (b"decided", b"decided too")


def test_files_added_in_phy_stay_when_more_is_published(
    host: Callable[[str], Host],
) -> None:
    first = host("one").attempt()
    sort(first, "units")
    analyze(first, "units")
    host("one").put("phy/more.tsv", b"decided")
    again = host("two").attempt()
    fetched = again.fetch()
    assert fetched is not None
    write(again, units__nwb="units")
    again.finish(
        fetched.sorter_run(), [ExportRun(sorter="simple", export="nwb", path="simple/units/nwb")]
    )
    assert host("two").kept()["phy/more.tsv"] == b"decided"


def test_failed_sorter_publishes_its_logs_only(host: Callable[[str], Host]) -> None:
    failing = host("one").attempt()
    failing.clear()
    failing.path.mkdir()
    (failing.path / "output.log").write_text("it broke")
    failing.finish(FAILED, [])
    assert host("one").kept() == {"output.log": b"it broke"}
    assert host("two").attempt().earlier is None


def test_sorter_without_units_is_resumed(host: Callable[[str], Host]) -> None:
    first = host("one").attempt()
    first.clear()
    first.path.mkdir()
    (first.path / "output.log").write_text("silence")
    first.finish(replace(RUN, outcome="no_units", n_units=0, labels={}, reason="silence"), [])
    fetched = host("two").attempt().fetch()
    assert fetched is not None
    assert fetched.sorting_folder() is None
    assert fetched.sorter_run().outcome == "resumed"
    assert fetched.sorter_run().reason == "silence"


def test_logs_of_each_try_and_group_are_published_and_removed_by_the_next_run(
    host: Callable[[str], Host],
) -> None:
    first = host("one").attempt("a")
    first.clear()
    write(first, raw_sorting__spikes="units")
    for name in ("try-1", "group-0", "group-1", "try-one"):
        (first.path / name).mkdir()
        (first.path / name / "output.log").write_text(name)
    first.finish_sorting(RUN)
    kept = host("two").kept()
    assert (kept["try-1/output.log"], kept["group-1/output.log"]) == (b"try-1", b"group-1")
    fetched = host("two").attempt("a").fetch()
    assert fetched is not None
    assert {"try-1/output.log", "group-0/output.log"} <= {each.path for each in fetched.files}
    other = host("two").attempt("b")
    sort(other, "others")
    names = {path.partition("/")[0] for path in host("two").kept()}
    assert names - {"try-one"} == {"completed.json", "output.log", "raw_sorting"}


def test_failed_sorter_removes_an_older_sorting(
    host: Callable[[str], Host],
) -> None:
    """The older sorting was changed, so that it is not what this job would find."""
    first = host("one").attempt()
    sort(first, "units")
    analyze(first, "units")
    host("one").put("sorting/spikes", b"changed")
    host("one").put("my_notes.txt", b"mine")
    failing = host("two").attempt()
    failing.clear()
    failing.path.mkdir(exist_ok=True)
    (failing.path / "output.log").write_text("it broke")
    failing.finish(FAILED, [])
    assert host("two").kept() == {"my_notes.txt": b"mine", "output.log": b"it broke"}
