"""What several failed checks come to."""

import pytest

from spikeinterface_cloud.errors import CloudJobError, SettingsError, SourceError, UnavailableError
from spikeinterface_cloud.preflight import CheckResult, exit_code_of, raise_failures

UNAVAILABLE = CheckResult(name="sorters", error=UnavailableError("no kilosort4"))
MISSPELT = CheckResult(name="reader", error=SettingsError("no spikeglxx"))
MISSING = CheckResult(name="source", error=SourceError("no folder"))
SOUND = CheckResult(name="disk", detail="enough")


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([SOUND], 0),
        ([SOUND, MISSING, UNAVAILABLE], 66),
        ([UNAVAILABLE, MISSING], 69),
        ([UNAVAILABLE, MISSING, MISSPELT], 78),
    ],
)
def test_a_wrong_setting_is_stronger_than_what_another_machine_may_mend(
    findings: list[CheckResult], code: int
) -> None:
    assert exit_code_of(findings) == code


def test_every_failure_has_its_line() -> None:
    with pytest.raises(CloudJobError) as caught:
        raise_failures([UNAVAILABLE, SOUND, MISSPELT])
    assert str(caught.value) == "no kilosort4\nno spikeglxx"
    assert caught.value.exit_code == 78
