"""What becomes of a job whose exports fail, and the names that units get."""

import os

import numpy as np
import pytest

from spikeinterface_cloud.errors import SortingError
from spikeinterface_cloud.exports.nwb_units import largest_channels
from spikeinterface_cloud.results.outcomes import ExportRun
from spikeinterface_cloud.results.run_record import RunRecord


def record(*exports: ExportRun) -> RunRecord:
    found = RunRecord(settings={}, run_identifier=None)
    found.exports += exports
    return found


def test_failed_export_fails_the_job_at_the_end() -> None:
    failed = ExportRun(sorter="simple", export="phy", path="simple/phy", error="OSError: full")
    written = ExportRun(sorter="simple", export="nwb", path="simple/units.nwb")
    with pytest.raises(SortingError, match=r"1 of 2 exports failed \(simple/phy: OSError: full\)"):
        record(written, failed).raise_for_failures()
    assert SortingError.exit_code == os.EX_SOFTWARE


def test_failed_upload_is_not_a_failed_export() -> None:
    record(
        ExportRun(sorter="simple", export="dandi", path="sub-1/a.nwb", error="refused")
    ).raise_for_failures()


def test_units_have_equally_many_channels_largest_first() -> None:
    sizes = np.array([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 4.0, 6.0]])
    templates = np.stack([np.zeros_like(sizes), sizes], axis=1)  # units x samples x channels
    masks = np.array([[True, True, True, False], [False, True, False, True]])
    np.testing.assert_array_equal(largest_channels(templates, masks), [[0, 2], [3, 1]])
