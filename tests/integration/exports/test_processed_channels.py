"""Steps that make channels of their own, which the electrodes of an NWB file cannot have."""

from pathlib import Path
from typing import Any

import pytest
import spikeinterface.extractors as se

from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.exports.export import check_channels, plan_exports
from spikeinterface_cloud.preprocessing.pipeline import preprocess
from tests.support.nwb_files import write_nwb
from tests.support.recordings import simulate

pytestmark = [
    pytest.mark.integration,
    # SpikeInterface cannot save where simulated traces come from, and need not
    pytest.mark.filterwarnings("ignore:The extractor is not serializable"),
    # nor does its own step yet do what it asks of others
    pytest.mark.filterwarnings("ignore:set_channel_locations.* is deprecated"),
]

AVERAGE = {"name": "average_across_direction", "params": {"direction": "y"}}
DERIVATIVE = {"name": "directional_derivative", "params": {}}


def check(folder: Path, formats: list[str], step: dict[str, Any], *, is_nwb: bool = True) -> None:
    """Preprocess a recording and check its channels."""
    recording, _ = simulate(duration_s=1.0, n_channels=16)
    if is_nwb:
        recording = se.read_nwb_recording(write_nwb(folder / "source.nwb", recording))
    plan = plan_exports(formats, recording, {}, folder)
    processed = preprocess(recording, [step], {"simple": {}}, folder / "preprocessed")
    check_channels(plan, processed.filtered_recording)


@pytest.mark.parametrize("is_nwb", [True, False])
def test_new_channels_are_refused_for_nwb(tmp_path: Path, is_nwb: bool) -> None:
    with pytest.raises(SettingsError, match=r"^EXPORTS=nwb: .* \(\w+-\w+, .*; remove the step"):
        check(tmp_path, ["phy", "nwb"], AVERAGE, is_nwb=is_nwb)


def test_channels_that_keep_their_names_are_taken(tmp_path: Path) -> None:
    check(tmp_path, ["nwb"], DERIVATIVE)


def test_phy_takes_new_channels(tmp_path: Path) -> None:
    check(tmp_path, ["phy"], AVERAGE)
