"""A local source that this user may not read, or whose path cannot be: 66 with a remedy."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.recording.open import open_source
from spikeinterface_cloud.recording.source import FetchedSource
from tests.support.job import run_job
from tests.support.nwb_files import write_nwb
from tests.support.recordings import simulate, write_spikeglx

pytestmark = [
    pytest.mark.integration,
    # SpikeInterface says so when it saves a recording that exists only in memory, as ours do
    pytest.mark.filterwarnings("ignore:The extractor is not serializable to file"),
]

#: lets the modes of files and folders count for root too
WITHOUT_ROOTS_RIGHTS = (
    [] if os.geteuid() else ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
)

#: prepares a source at the given path, and returns the SOURCE_FOLDER and other variables
Prepare = Callable[[Path], dict[str, str]]


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=2.0, n_channels=4, n_units=2)[0]


def unlistable_folder(source: Path) -> dict[str, str]:
    source.chmod(0o300)
    return {}


def folder_that_cannot_be_entered(source: Path) -> dict[str, str]:
    source.chmod(0o600)
    return {}


def folder_below_a_closed_one(source: Path) -> dict[str, str]:
    source.parent.chmod(0o600)
    return {}


def closed_folder_inside(source: Path) -> dict[str, str]:
    (source / "day2").mkdir(mode=0)
    return {}


def unreadable_file(source: Path) -> dict[str, str]:
    (source / "recording.nwb").chmod(0)
    return {}


def unreadable_file_by_its_name(source: Path) -> dict[str, str]:
    (source / "recording.nwb").chmod(0)
    return {"SOURCE_FOLDER": str(source / "recording.nwb")}


def link_to_a_closed_folder(source: Path) -> dict[str, str]:
    closed = source.parent / "closed"
    closed.mkdir()
    (source / "recording.nwb").rename(closed / "recording.nwb")
    (source / "recording.nwb").symlink_to(closed / "recording.nwb")
    closed.chmod(0)
    return {}


def unreadable_metadata(source: Path) -> dict[str, str]:
    """Of a Zarr folder, whose files have no ending."""
    store = source / "store.zarr"
    store.mkdir()
    (store / ".zattrs").touch(mode=0)
    return {}


def unreadable_probe(source: Path) -> dict[str, str]:
    (source / "probe.json").touch(mode=0)
    return {"PROBE_FILE": "probe.json"}


def probe_with_a_long_name(source: Path) -> dict[str, str]:
    return {"PROBE_FILE": f"{'p' * 300}.json"}


def circular_link(source: Path) -> dict[str, str]:
    (source.parent / "loop").symlink_to("loop")
    return {"SOURCE_FOLDER": str(source.parent / "loop")}


def long_name(source: Path) -> dict[str, str]:
    return {"SOURCE_FOLDER": str(source / ("n" * 300))}


def long_path(source: Path) -> dict[str, str]:
    return {"SOURCE_FOLDER": str(source) + "/name" * 1000}


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (unlistable_folder, "SOURCE_FOLDER: {source} may not be read by this user"),
        (folder_that_cannot_be_entered, "SOURCE_FOLDER: {source} may not be read by this user"),
        (folder_below_a_closed_one, "SOURCE_FOLDER: {source} may not be read by this user"),
        (closed_folder_inside, "SOURCE_FOLDER: {source}/day2 may not be read by this user"),
        (unreadable_file, "SOURCE_FOLDER: {source}/recording.nwb may not be read by this user"),
        (
            unreadable_file_by_its_name,
            "SOURCE_FOLDER: {source}/recording.nwb may not be read by this user",
        ),
        (
            link_to_a_closed_folder,
            "SOURCE_FOLDER: {source}/recording.nwb may not be read by this user",
        ),
        (
            unreadable_metadata,
            "SOURCE_FOLDER: {source}/store.zarr/.zattrs may not be read by this user",
        ),
        (unreadable_probe, "PROBE_FILE: {source}/probe.json may not be read by this user"),
        (probe_with_a_long_name, "PROBE_FILE: there is no ppp"),
        (circular_link, "cannot be opened (Too many levels of symbolic links); correct the path"),
        (long_name, "cannot be opened (File name too long); correct the path"),
        (long_path, "cannot be opened (File name too long); correct the path"),
    ],
)
def test_a_source_that_cannot_be_read_exits_with_66(
    tmp_path: Path, simulated: BaseRecording, prepare: Prepare, message: str
) -> None:
    source = tmp_path / "mounted" / "source"
    write_nwb(source / "recording.nwb", simulated)
    variables = {"SOURCE_FOLDER": str(source), "DATA_TYPE": "nwb", "SORTERS": "simple"}
    variables |= prepare(source)
    try:
        job = run_job(tmp_path / "job", variables, "--check", launcher=WITHOUT_ROOTS_RIGHTS)
    finally:  # else pytest could not remove them
        for folder in (source.parent, source):
            folder.chmod(0o700)
    assert job.exit_code == 66, job.log
    assert "Traceback" not in job.log
    assert message.format(source=source) in job.output


def test_broken_and_circular_links_beside_a_recording_are_ignored(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    write_nwb(tmp_path / "source" / "recording.nwb", simulated)
    (tmp_path / "source" / "loop").symlink_to("loop")
    (tmp_path / "source" / "missing").symlink_to("nowhere")
    variables = {"DATA_TYPE": "nwb", "SORTERS": "simple"}
    variables["SOURCE_FOLDER"] = str(tmp_path / "source")
    job = run_job(tmp_path / "job", variables, "--check")
    assert job.exit_code == 0, job.output


def test_symbolic_links_that_leave_a_mounted_folder_are_followed(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """As git-annex and DataLad make them of every large file."""
    source = write_spikeglx(tmp_path / "source", simulated)
    [traces] = source.rglob("*.ap.bin")
    annex = tmp_path / "annex"
    annex.mkdir()
    traces.rename(annex / "object")
    traces.symlink_to(annex / "object")
    opened = open_source(FetchedSource(path=source), "spikeglx", {}, None).recording
    np.testing.assert_array_equal(opened.get_traces(), simulated.get_traces())
