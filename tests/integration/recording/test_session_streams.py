"""The streams of a session are those that SpikeInterface reads, each from its own files alone."""

import json
import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from spikeinterface.extractors.neoextractors import OpenEphysBinaryRecordingExtractor

from spikeinterface_cloud.recording.formats.session_streams import list_streams
from spikeinterface_cloud.recording.formats.source_files import list_files
from spikeinterface_cloud.recording.formats.streams import needed_files
from spikeinterface_cloud.recording.load import open_recording
from tests.support.recordings import simulate, write_open_ephys

pytestmark = pytest.mark.integration

FIRST, SECOND = "Acquisition_Board-100.acquisition_board", "Acquisition_Board-107.acquisition_board"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nodes with a board each, the second with other samples, in two recordings."""
    folder = tmp_path_factory.mktemp("session")
    recording, _ = simulate(duration_s=0.2, n_channels=4, n_units=1)
    written = write_open_ephys(folder, recording)
    node = written / "Record Node 101"
    shutil.copytree(node / "experiment1" / "recording1", node / "experiment1" / "recording2")
    other = shutil.copytree(node, written / "Record Node 105")
    for structure in other.rglob("structure.oebin"):
        structure.write_text(structure.read_text().replace(FIRST, SECOND))
        place = (structure.parent / "continuous" / FIRST).rename(
            structure.parent / "continuous" / SECOND
        )
        samples = np.fromfile(place / "continuous.dat", dtype="int16")
        (samples + np.int16(1)).tofile(place / "continuous.dat")
    return written


def sizes_of(folder: Path) -> dict[PurePosixPath, int]:
    return {name: (folder / name).stat().st_size for name in list_files(folder)}


def test_streams_of_open_ephys_have_the_names_that_spikeinterface_gives_them(
    session: Path,
) -> None:
    listed = list_streams("openephys", sizes_of(session))
    names, _ = OpenEphysBinaryRecordingExtractor.get_streams(session)
    found = {each.identifier for each in (*listed.sortable, *listed.auxiliary)}
    assert found == {name for name in names if not name.endswith("_ADC")}
    assert [each.identifier for each in listed.sortable] == [
        f"Record Node 101#{FIRST}",
        f"Record Node 105#{SECOND}",
    ]


def test_a_node_that_is_the_local_source_is_part_of_the_name(session: Path) -> None:
    node = session / "Record Node 105"
    [stream] = list_streams("openephys", sizes_of(node), folder_name=node.name).sortable
    opened = open_recording(node, "openephys", dict(stream.kwargs))
    assert opened.get_num_channels() == 4


@pytest.mark.parametrize("number", [0, 1])
def test_a_stream_is_read_from_its_own_files_alone(
    session: Path, tmp_path: Path, number: int
) -> None:
    stream = list_streams("openephys", sizes_of(session)).sortable[number]
    needed = needed_files("openephys", list_files(session), stream.kwargs)
    samples = [name for name in needed if name.name == "continuous.dat"]
    assert len(samples) == 2
    for name in needed:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(session / name, tmp_path / name)
    whole = open_recording(session, "openephys", dict(stream.kwargs))
    alone = open_recording(tmp_path, "openephys", dict(stream.kwargs))
    assert alone.get_num_segments() == whole.get_num_segments() == 2
    for segment in range(2):
        expected = whole.get_traces(segment_index=segment)
        np.testing.assert_array_equal(alone.get_traces(segment_index=segment), expected)
    structure = json.loads(next(tmp_path.rglob("structure.oebin")).read_text())
    assert len(structure["continuous"]) == 2  # what the other stream has lost is no error


def test_analog_channels_beside_a_stream_need_the_files_of_all(session: Path) -> None:
    names = list_files(session)
    kwargs = {"stream_name": f"Record Node 101#{FIRST}_ADC"}
    assert needed_files("openephys", names, kwargs) == names
