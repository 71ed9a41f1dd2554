"""Exit code and message of several failed checks."""

import pytest

from spikeinterface_cloud.errors import CloudJobError, SettingsError, SourceError, UnavailableError
from spikeinterface_cloud.preflight import CheckResult, exit_code_of, raise_failures

UNAVAILABLE = CheckResult(name="sorters", error=UnavailableError("no kilosort4"))
MISSPELT = CheckResult(name="reader", error=SettingsError("no spikeglxx"))
MISSING = CheckResult(name="source", error=SourceError("no folder"))
SOUND = CheckResult(name="disk", detail="enough")


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([SOUND], 0),
        ([SOUND, MISSING, UNAVAILABLE], 66),
        ([UNAVAILABLE, MISSING], 69),
        ([UNAVAILABLE, MISSING, MISSPELT], 78),
    ],
)
def test_exit_code_of_wrong_settings_comes_before_that_of_the_machine(
    results: list[CheckResult], code: int
) -> None:
    assert exit_code_of(results) == code


def test_error_has_a_line_for_each_failure() -> None:
    with pytest.raises(CloudJobError) as caught:
        raise_failures([UNAVAILABLE, SOUND, MISSPELT])
    assert str(caught.value) == "no kilosort4\nno spikeglxx"
    assert caught.value.exit_code == 78
