"""The variables of a session: STREAMS and CLOCK."""

import pytest

from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError

SESSION = {"SOURCE_FOLDER": "/data/run_g0", "DATA_TYPE": "spikeglx", "SORTERS": "simple"}

OPEN_EPHYS = "Record Node 101#Neuropix-PXI-100.ProbeA-AP"


def streams(text: str) -> tuple[str, ...] | None:
    return JobSettings.from_env(SESSION | {"STREAMS": text}).streams


def refusal(**variables: str) -> str:
    with pytest.raises(SettingsError) as refused:
        JobSettings.from_env(SESSION | variables)
    return str(refused.value)


@pytest.mark.parametrize("text", ["all", "ALL", " all ", '["all"]'])
def test_all_means_every_stream(text: str) -> None:
    assert streams(text) == ("all",)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("imec0.ap,imec1.ap", ("imec0.ap", "imec1.ap")),
        ('["imec0.ap", "imec1.ap"]', ("imec0.ap", "imec1.ap")),
        (OPEN_EPHYS, (OPEN_EPHYS,)),
        (f'["{OPEN_EPHYS}"]', (OPEN_EPHYS,)),
        (
            "acquisition/Series1, acquisition/Series2",
            ("acquisition/Series1", "acquisition/Series2"),
        ),
        ('["with, comma"]', ("with, comma",)),
        ("", None),
    ],
)
def test_streams_are_listed_by_name(text: str, names: tuple[str, ...] | None) -> None:
    assert streams(text) == names


@pytest.mark.parametrize("text", ["all", "imec0.ap,imec1.ap", '["with, comma"]', OPEN_EPHYS])
def test_written_streams_are_read_again(text: str) -> None:
    settings = JobSettings.from_env(SESSION | {"STREAMS": text, "CLOCK": "nidq"})
    assert JobSettings.from_env(settings.to_env()) == settings


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (",", "names no stream"),
        ("[]", "names no stream"),
        ("all,imec0.ap", "write it alone"),
        ("imec0.ap,imec0.ap", "more than once"),
        ("[1]", "not a name"),
    ],
)
def test_malformed_streams_are_refused(text: str, reason: str) -> None:
    message = refusal(STREAMS=text)
    assert message.startswith("STREAMS: ")
    assert reason in message


@pytest.mark.parametrize("name", ["STREAMS", "CLOCK"])
def test_simulated_recording_is_no_session(name: str) -> None:
    simulated = {"SORTERS": "simple", "TEST_WITH_TOY_RECORDING": "true", name: "imec0.ap"}
    with pytest.raises(SettingsError, match=f"^{name}: a simulated recording is one stream"):
        JobSettings.from_env(simulated)


def test_one_probe_for_all_streams_is_refused() -> None:
    assert "PROBE_FILE: would place" in refusal(STREAMS="all", PROBE_FILE="probe.json")


def test_session_is_not_uploaded_stream_by_stream() -> None:
    nwb = {
        "SORTERS": "simple",
        "DANDISET_S3_FILE_URL": "dandi://dandi/000006@draft/a.nwb",
        "EXPORTS": "nwb",
        "TARGET_DANDISET": "000123",
    }
    JobSettings.from_env(nwb)
    with pytest.raises(SettingsError, match=r"^TARGET_DANDISET: each stream of"):
        JobSettings.from_env(nwb | {"STREAMS": "acquisition/Series1"})


def test_one_stream_may_have_a_clock() -> None:
    assert JobSettings.from_env(SESSION | {"CLOCK": "nidq"}).clock == "nidq"
