"""Units of joined recordings as NWB: a file for each, with its own session and clock."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si
from nwbinspector import Importance, inspect_nwbfile, load_config
from pynwb import NWBHDF5IO, validate

from spikeinterface_cloud.recording.open import open_source
from spikeinterface_cloud.recording.source import FetchedSource
from tests.support.exports import Exported, export_truth
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import simulate

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:.*(NaN|could not be computed|not serializable).*"),
]

RATE_HZ = 30_000.0
#: seconds
STARTS_S = (100.0, 5.0)
DURATIONS_S = (4.0, 3.0)
MOUSE = {"subject_id": "M1", "species": "Mus musculus", "sex": "F", "age": "P90D"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("joined")
    recording, truth = simulate(duration_s=list(DURATIONS_S), n_channels=8, n_units=3, seed=2)
    files = [
        write_nwb(
            folder / f"{number}.nwb",
            recording.select_segments([number]),
            NwbLayout(
                starting_time=start_s,
                subject=MOUSE,
                session={"session_id": f"session-{number + 1}"},
            ),
        )
        for number, start_s in enumerate(STARTS_S)
    ]
    joined = tuple(FetchedSource(path=file, location=f"s3://lab/{file.name}") for file in files)
    opened = open_source(FetchedSource(joined=joined), "nwb", {}, None)
    return export_truth(
        ["nwb", "phy"], opened.recording, truth, folder / "results", parts=opened.parts
    )


def test_each_recording_has_a_file_with_its_session_times_and_the_same_units(
    exported: Exported,
) -> None:
    assert exported.errors == {"nwb": None, "phy": None}
    assert not (exported.folder / "units.nwb").exists()
    for number, (start_s, duration_s) in enumerate(zip(STARTS_S, DURATIONS_S, strict=True)):
        file = exported.folder / "recordings" / str(number + 1) / "units.nwb"
        assert not validate(path=file)
        with NWBHDF5IO(file, "r") as reader:
            nwbfile = reader.read()
            assert nwbfile.session_id == f"session-{number + 1}"
            assert nwbfile.subject.subject_id == "M1"
            units = nwbfile.units
            assert list(units["unit_name"][:]) == [str(n) for n in exported.sorting.unit_ids]
            assert f"s3://lab/{number}.nwb" in units.description
            assert "2 recordings were sorted as one" in units.description
            intervals = units["obs_intervals"][0]
            np.testing.assert_allclose(intervals, [[start_s, start_s + duration_s]])
            own = si.select_segment_sorting(exported.sorting, number)
            for row, unit in enumerate(own.unit_ids):
                frames = own.get_unit_spike_train(unit, segment_index=0)
                np.testing.assert_allclose(
                    units["spike_times"][row], frames / RATE_HZ + start_s, atol=1e-9
                )


def test_files_are_fit_for_archives(exported: Exported) -> None:
    config = load_config("dandi")
    for file in sorted(exported.folder.glob("recordings/*/units.nwb")):
        found = inspect_nwbfile(
            nwbfile_path=file, config=config, importance_threshold=Importance.CRITICAL
        )
        assert list(found) == []


def test_start_of_the_session_tells_the_pause(tmp_path: Path) -> None:
    recording, _ = simulate(duration_s=[2.0, 2.0], n_channels=8, n_units=2)
    sources = [
        FetchedSource(
            path=write_nwb(
                tmp_path / f"{number}.nwb",
                recording.select_segments([number]),
                NwbLayout(starting_time=10_000.0 * number),
            ),
            location=str(number),
        )
        for number in range(2)
    ]
    opened = open_source(FetchedSource(joined=tuple(sources)), "nwb", {}, None)
    assert opened.summary["joined"][1]["pause_s"] == pytest.approx(9_998.0)
    started = opened.parts[0].started
    assert started is not None
    assert started <= datetime.now(UTC)
