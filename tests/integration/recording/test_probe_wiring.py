"""A PROBE_FILE that wires some of the channels, and channels that are no electrodes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from probeinterface import Probe, ProbeGroup, generate_multi_shank, write_probeinterface
from spikeinterface.core import BaseRecording, NumpyRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.checks import check_recording
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.open import OpenedRecording, open_source
from spikeinterface_cloud.recording.samples.analog_inputs import analog_inputs
from spikeinterface_cloud.recording.source import FetchedSource
from tests.support.acquisition_formats import write_blackrock, write_neuralynx
from tests.support.recordings import simulate, write_open_ephys

pytestmark = pytest.mark.integration

N_CHANNELS = 12
RATE_HZ = 30000
BINARY = {
    "sampling_frequency": RATE_HZ,
    "num_channels": N_CHANNELS,
    "dtype": "int16",
    "gain_to_uV": 0.195,
    "offset_to_uV": 0,
}


@pytest.fixture(scope="module")
def traces() -> np.ndarray:
    """Noise of shape (samples, channels), another in each channel."""
    return np.random.default_rng(0).integers(-200, 200, (33000, N_CHANNELS), dtype="int16")


@pytest.fixture
def source(tmp_path: Path, traces: np.ndarray) -> Path:
    file = tmp_path / "amplifier.dat"
    traces.tofile(file)
    return file


def probe(wiring: Sequence[int] | None, n_contacts: int = 0, x_um: float = 0.0) -> Probe:
    """Return a column of contacts, 25 um apart from (x, 0) on."""
    n = n_contacts if wiring is None else len(wiring)
    column = Probe(ndim=2)
    column.set_contacts([(x_um, 25.0 * k) for k in range(n)], shape_params={"radius": 6})
    if wiring is not None:
        column.set_device_channel_indices(wiring)
    return column


def write(folder: Path, *probes: Probe) -> Path:
    group = ProbeGroup()
    for each in probes:
        group.add_probe(each)
    write_probeinterface(folder / "probe.json", group)
    return folder / "probe.json"


def write_unchecked(folder: Path, *wirings: object) -> Path:
    """Write a probe file with wiring that probeinterface would refuse."""
    file = write(folder, *(probe(None, 4, x_um=300.0 * k) for k in range(len(wirings))))
    described = json.loads(file.read_text())
    for each, wiring in zip(described["probes"], wirings, strict=True):
        if wiring is not None:
            each["device_channel_indices"] = wiring
    file.write_text(json.dumps(described))
    return file


def opened(source: Path, probe_file: Path) -> OpenedRecording:
    fetched = FetchedSource(path=source, probe_file=probe_file)
    return open_source(fetched, "binary", BINARY, None)


def refusal(source: Path, probe_file: Path) -> str:
    with pytest.raises(RecordingError) as raised:
        opened(source, probe_file)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith("PROBE_FILE probe.json ")
    return message


def assert_wired(
    recording: BaseRecording, wiring: Sequence[int], positions: np.ndarray, traces: np.ndarray
) -> None:
    """Contact i is where channel `wiring[i]` of the file is, with that channel's samples."""
    connected = [
        (channel, at) for channel, at in zip(wiring, positions, strict=True) if channel >= 0
    ]
    assert sorted(recording.channel_ids) == sorted(channel for channel, _ in connected)
    for channel, at in connected:
        place = recording.get_channel_locations(channel_ids=[channel])[0]
        np.testing.assert_allclose(place, at)
        seen = recording.get_traces(channel_ids=[channel])[:, 0]
        np.testing.assert_array_equal(seen, traces[:, channel])


# ----- part of the channels ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wiring", "left_out"),
    [
        ([7, 3, 5, 4, 6], "0, 1, 2, 8, 9, 10, 11"),
        ([11, 0], "1 to 10"),
        ([5, -1, 4, -1, 7, 6], "0, 1, 2, 3, 8, 9, 10, 11"),
        (list(range(1, 12)), "0"),
    ],
)
def test_unwired_channels_are_left_out_by_name(
    tmp_path: Path, source: Path, traces: np.ndarray, wiring: list[int], left_out: str
) -> None:
    column = probe(wiring)
    result = opened(source, write(tmp_path, column))
    assert_wired(result.recording, wiring, column.contact_positions, traces)
    np.testing.assert_allclose(result.recording.get_channel_gains(), 0.195)
    n_wired, n_open = sum(c >= 0 for c in wiring), sum(c < 0 for c in wiring)
    unconnected = f" ({n_open} contacts are not connected)" if n_open else ""
    assert result.notes == [
        f"PROBE_FILE probe.json wires {n_wired} of 12 channels{unconnected}; left out: {left_out}"
    ]
    assert result.summary["n_channels"] == n_wired


def test_wiring_may_reorder_all_channels(tmp_path: Path, source: Path, traces: np.ndarray) -> None:
    """Nothing is left out, and nothing noted."""
    wiring = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6]
    column = probe(wiring)
    result = opened(source, write(tmp_path, column))
    assert_wired(result.recording, wiring, column.contact_positions, traces)
    assert result.notes == []


@pytest.mark.parametrize("apart_um", [300.0, 0.0, 10.0])
def test_two_probes_may_cover_part_of_the_channels(
    tmp_path: Path, source: Path, traces: np.ndarray, apart_um: float
) -> None:
    """Also when each is measured from its own origin."""
    first, second = [9, 8, 1], [2, 0, -1, 10]
    square = probe(first)
    square.set_contacts([(0, 0), (0, 25), (20, 50)], shape_params={"radius": 6})
    square.set_device_channel_indices(first)
    file = write(tmp_path, square, probe(second, x_um=apart_um))
    result = opened(source, file)
    shift_um = float(result.recording.get_channel_locations(channel_ids=[2])[0, 0])
    assert shift_um == 300.0 if apart_um == 300.0 else shift_um >= 1000.0
    assert any("set 2000 um apart" in note for note in result.notes) is (apart_um < 300.0)
    positions = np.vstack(
        [square.contact_positions, probe(second, x_um=shift_um).contact_positions]
    )
    assert_wired(result.recording, first + second, positions, traces)
    groups = dict(
        zip(result.recording.channel_ids, result.recording.get_property("group"), strict=True)
    )
    assert len({groups[c] for c in (9, 8, 1)}) == len({groups[c] for c in (2, 0, 10)}) == 1
    assert groups[9] != groups[2]
    assert any("left out: 3 to 7, 11" in note for note in result.notes)


def test_shanks_of_a_partial_probe_are_kept(tmp_path: Path, source: Path) -> None:
    shanks = generate_multi_shank(num_shank=2, num_columns=1, num_contact_per_column=3)
    shanks.set_device_channel_indices([6, 2, 9, 1, 11, 3])
    recording = opened(source, write(tmp_path, shanks)).recording
    groups = dict(zip(recording.channel_ids, recording.get_property("group"), strict=True))
    assert {groups[c] for c in (6, 2, 9)} == {0}
    assert {groups[c] for c in (1, 11, 3)} == {1}


def test_millimeters_become_micrometers(tmp_path: Path, source: Path) -> None:
    """SpikeInterface takes any number for micrometers: all contacts would see the same spikes."""
    file = write(tmp_path, probe([3, 2, 1, 0]))
    described = json.loads(file.read_text())
    column = described["probes"][0]
    column["si_units"] = "mm"
    column["contact_positions"] = [[x / 1000, y / 1000] for x, y in column["contact_positions"]]
    column["contact_shape_params"] = [{"radius": 0.006}] * 4
    file.write_text(json.dumps(described))
    recording = opened(source, file).recording
    np.testing.assert_allclose(
        recording.get_channel_locations(), [(0, 75), (0, 50), (0, 25), (0, 0)]
    )
    assert recording.get_probe().si_units == "um"


# ----- wiring that does not fit ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wirings", "message"),
    [
        ([[0, 1, 1, 2]], "wires channel 1 to 2 contacts (contact 1 of probe 0, contact 2 of probe"),
        ([[0, 1, 2, 3], [0, 1, 2, 3]], "wires channel 0 to 2 contacts (contact 0 of probe 0, cont"),
        ([[0, 1, 2, 12]], "to channels 12, but the recording has 12 channels, which count from 0"),
        ([[0, 1, 2, 700]], "wires contacts to channels 700"),
        ([[12, 1, 2, 3]], "subtract 1 from each index"),
        ([[-1, -1, -1, -1]], "connects no contact to a channel"),
        ([[0, 1, 2, 3], None], "has device_channel_indices for probe 0 and none for probe 1"),
        ([[0, 1, 2]], "not a list of 4 whole numbers"),
        ([[0, 1, 2, 2.5]], "not a list of 4 whole numbers"),
        ([[0, 1, 2, "CH4"]], "not a list of 4 whole numbers"),
        ([[0, 1, 2, None]], "not a list of 4 whole numbers"),
        ([None], "has 4 contacts and no device_channel_indices, but the recording has 12 channels"),
    ],
    ids=str,
)
def test_wiring_that_does_not_fit_is_refused(
    tmp_path: Path, source: Path, wirings: list[object], message: str
) -> None:
    refused = refusal(source, write_unchecked(tmp_path, *wirings))
    assert message in refused
    assert "set_device_channel_indices" in refused or "subtract 1" in refused


# ----- channels that are no electrodes -----------------------------------------------------------


def open_ephys_with_inputs(
    folder: Path, names: Sequence[str], units: str
) -> tuple[Path, np.ndarray]:
    """Eight electrodes and inputs of these names in one stream; the session, and its samples."""
    recording = simulate(duration_s=1.2, n_channels=8 + len(names), n_units=2)[0]
    session = write_open_ephys(folder, recording, n_adc=0)
    for file in session.rglob("structure.oebin"):
        described = json.loads(file.read_text())
        channels = described["continuous"][0]["channels"]
        for channel, name in zip(channels[8:], names, strict=True):
            channel |= {"channel_name": name, "units": units}
        file.write_text(json.dumps(described))
    return session, recording.get_traces()


@pytest.mark.parametrize(
    ("names", "units"), [(("AUX1", "AUX2", "AUX3"), "uV"), (("Accel_X", "breath"), "mV")]
)
@pytest.mark.parametrize("is_wired", [True, False])
def test_analog_inputs_beside_electrodes_are_left_out(
    tmp_path: Path, names: tuple[str, ...], units: str, is_wired: bool
) -> None:
    """Known by their names or by their units; eight contacts are for the eight electrodes."""
    session, traces = open_ephys_with_inputs(tmp_path / "data", names, units)
    file = write(tmp_path, probe(list(range(7, -1, -1)) if is_wired else None, 8))
    result = open_source(FetchedSource(path=session, probe_file=file), "openephys", {}, None)
    recording = result.recording
    assert list(recording.channel_ids) == [f"CH{n}" for n in range(1, 9)]
    np.testing.assert_array_equal(recording.get_traces(), traces[:, :8])
    along = recording.get_channel_locations()[:, 1]
    np.testing.assert_allclose(
        along, np.arange(7, -1, -1) * 25.0 if is_wired else np.arange(8) * 25.0
    )
    assert f"left out: {', '.join(names)}" in result.notes[0]


def test_wiring_to_an_input_is_refused(tmp_path: Path) -> None:
    session, _ = open_ephys_with_inputs(tmp_path / "data", ("AUX1", "AUX2"), "mV")
    for wiring, message in (
        ([0, 1, 9], "wires contacts to 1 analog inputs, channels 9 (AUX2)"),
        (
            None,
            "has 10 contacts and no device_channel_indices, but the recording has 8 channels "
            "besides the analog inputs AUX1, AUX2",
        ),
    ):
        file = write(tmp_path, probe(wiring, 10))
        with pytest.raises(RecordingError) as raised:
            open_recording(session, "openephys", {}, file)
        assert message in str(raised.value)


def test_blackrock_analog_inputs_are_left_out(tmp_path: Path) -> None:
    """In the same file as the electrodes, in millivolts, renamed by the user or not."""
    traces = np.random.default_rng(1).integers(-200, 200, (31000, 7), dtype="int16")
    labels = ["elec1", "elec2", "elec3", "elec4", "ainp1", "photodiode", "ainp3"]
    units = ["uV"] * 4 + ["mV"] * 3
    file = write_blackrock(tmp_path / "a.ns6", traces, labels=labels, units=units, step=0.25)
    recording = open_recording(file, "blackrock", {}, write(tmp_path, probe(None, 4)))
    np.testing.assert_array_equal(recording.get_traces(), traces[:, :4])
    checked, notes = check_recording(recording)
    assert checked.get_num_channels() == 4
    assert any("left out: 5 (ainp1), 6 (photodiode), 7 (ainp3)" in note for note in notes)


def named(*names: str, units: Sequence[str] | None = None) -> BaseRecording:
    recording = NumpyRecording([np.zeros((10, len(names)), "int16")], 30000.0)
    recording.set_property("channel_name", list(names))
    if units is not None:
        recording.set_property("physical_unit", list(units))
    return recording


def inputs(recording: BaseRecording) -> list[str]:
    return list(recording.get_property("channel_name")[analog_inputs(recording)])


@pytest.mark.parametrize(
    "name",
    [
        "AUX", "AUX1", "aux_2", "A1_AUX3", "A-AUX1", "ADC1", "ADC-7", "ainp1", "ainp16", "AIN0",
        "A-VDD1", "ANALOG-IN-01", "analog 1", "DIGITAL-IN-03", "SYNC", "TTL1",
    ],
)  # fmt: skip
def test_names_of_inputs_are_recognized(name: str) -> None:
    assert inputs(named("CH1", name)) == [name]


@pytest.mark.parametrize(
    "name",
    [
        "A-000", "CH1", "C1", "AD1", "AD01", "AP0", "elec1-1", "chan12", "CSC3", "WB01", "SPKC02",
        "FP01", "AI3", "ACC2", "trode1chan2", "1a", "imec0.ap#AP3", "El_A12", "MN0C3", "XA1",
        "Wav1", "hwChan7", "AINS2", "LAUX", "left", "0",
    ],
)  # fmt: skip
def test_names_of_electrodes_are_not_inputs(name: str) -> None:
    assert inputs(named("CH9", name)) == []


def test_nidaq_inputs_beside_neural_channels_are_recognized() -> None:
    names = ["MN0C0", "MN0C1", "MA1C0", "XA0", "XD0"]
    assert inputs(named(*names)) == ["MA1C0", "XA0", "XD0"]


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        (["uV", "uV", "mV", "V"], ["c", "d"]),
        (["uV", "uV", "uV", "degrees"], ["d"]),
        (["uV", "uV", "uV", ""], ["d"]),
        (["mV", "mV", "mV", "mV"], []),
        (["", "", "", ""], []),
        (["uV", "mV", "mV", "mV"], []),  # most of the channels: not believed
    ],
)
def test_coarser_units_are_inputs(units: list[str], expected: list[str]) -> None:
    assert inputs(named("a", "b", "c", "d", units=units)) == expected


def test_mixed_units_are_noted() -> None:
    traces = np.random.default_rng(0).integers(-99, 99, (31000, 4), dtype="int16")
    recording = NumpyRecording([traces], 30000.0)
    recording.set_channel_gains(0.195)
    recording.set_channel_offsets(0.0)
    recording.set_property("physical_unit", ["uV", "mV", "mV", "mV"])
    recording.set_probe(probe([0, 1, 2, 3]))
    checked, notes = check_recording(recording)
    assert checked.get_num_channels() == 4
    assert "the channels have different units (mV: 3, uV: 1)" in notes[0]


def test_all_channels_are_never_left_out() -> None:
    """An electrode may be on an analog input; a note says so."""
    traces = np.random.default_rng(0).integers(-99, 99, (31000, 2), dtype="int16")
    recording = NumpyRecording([traces], 30000.0, channel_ids=["ADC1", "ADC2"])
    recording.set_channel_gains(0.195)
    recording.set_channel_offsets(0.0)
    recording.set_probe(probe([0, 1]))
    checked, notes = check_recording(recording)
    assert list(checked.channel_ids) == ["ADC1", "ADC2"]
    assert "every channel is named as an analog input (ADC1, ADC2)" in notes[0]


@pytest.mark.filterwarnings("ignore:.*`strict_gap_mode`")
def test_channels_in_the_order_of_text_are_not_wired_by_their_order(tmp_path: Path) -> None:
    """Neuralynx's reader takes CSC10 before CSC2."""
    samples = np.random.default_rng(0).normal(0, 30, (30_720, 12)).astype("int16")
    folder = write_neuralynx(tmp_path / "ncs", samples)
    unwired = write(tmp_path, probe(None, 12))
    with pytest.raises(RecordingError, match="order of their names as text, CSC1, CSC10, CSC11"):
        open_recording(folder, "neuralynx", {}, unwired)
    names = open_recording(folder, "neuralynx", {}).get_property("channel_name").tolist()
    wiring = [names.index(f"CSC{number}") for number in range(1, 13)]
    recording = open_recording(folder, "neuralynx", {}, write(tmp_path, probe(wiring)))
    ordered = recording.get_property("channel_name").tolist()
    places = dict(zip(ordered, recording.get_channel_locations(), strict=True))
    for number, place in enumerate(probe(wiring).contact_positions, start=1):
        np.testing.assert_allclose(places[f"CSC{number}"], place)
