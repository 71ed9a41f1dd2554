"""EVENTS, and the lines that PREPROCESSING names as triggers."""

import json
from typing import Any

import pytest

from spikeinterface_cloud.config.catalog.snapshot import find_unknown_names
from spikeinterface_cloud.config.event_lines import Line, Threshold, thresholds
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError

JOB = {"SOURCE_FOLDER": "/data/run_g0", "DATA_TYPE": "spikeglx", "SORTERS": "simple"}


def settings(events: object = None, **variables: str) -> JobSettings:
    given = {} if events is None else {"EVENTS": json.dumps(events), "CLOCK": "nidq"}
    return JobSettings.from_env(JOB | given | variables)


def test_thresholds_are_in_volts_with_a_tenth_of_hysteresis_unless_it_is_given() -> None:
    events = {
        "nidq:XA2": {"threshold_v": 2.0},
        "nidq:MA0": {"threshold_v": -2, "hysteresis_v": 0},
        "Record Node 101#NI-DAQmx-103.PXIe-6341:AI0": {"threshold_v": 1, "hysteresis_v": 0.5},
    }
    read = settings(events)
    assert thresholds(read.events) == {
        Line("nidq", "XA2"): Threshold(2.0, 0.2),
        Line("nidq", "MA0"): Threshold(-2.0, 0.0),
        Line("Record Node 101#NI-DAQmx-103.PXIe-6341", "AI0"): Threshold(1.0, 0.5),
    }
    assert thresholds(read.events)[Line("nidq", "XA2")].fall_v == 1.8
    assert JobSettings.from_env(read.to_env()) == read
    assert settings().events == {}


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ({"XA2": {"threshold_v": 1}}, "'XA2' is not a line of a stream; write it like nidq:line3"),
        ({"nidq:": {"threshold_v": 1}}, "is not a line of a stream"),
        ({"nidq:XA2": 1.5}, 'nidq:XA2 has no threshold; write {"nidq:XA2": {"threshold_v": 1.5}}'),
        ({"nidq:XA2": {}}, "has no threshold"),
        ({"nidq:XA2": {"threshold_v": "1.5"}}, "threshold_v is '1.5', not a number of volts"),
        ({"nidq:XA2": {"threshold_v": True}}, "threshold_v is True, not a number"),
        (
            {"nidq:XA2": {"threshold_v": 1, "hysteresis": 1}},
            "has no parameter hysteresis; did you mean hysteresis_v?",
        ),
        ({"nidq:XA2": {"threshold_v": 1, "hysteresis_v": -1}}, "hysteresis_v is negative"),
        ({"nidq:line3": {"threshold_v": 1}}, "nidq:line3 is digital, and its pulses are events"),
        (["nidq:XA2"], "is not a JSON object"),
    ],
)
def test_thresholds_that_are_not_understood_are_refused(events: object, reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(events)
    assert str(refused.value).startswith("EVENTS: ")
    assert reason in str(refused.value)


@pytest.mark.parametrize("preprocessing", ["", "none", '{"common_reference": {}}'])
def test_thresholds_that_nothing_uses_are_refused(preprocessing: str) -> None:
    events = {"EVENTS": '{"nidq:XA2": {"threshold_v": 1.5}}', "PREPROCESSING": preprocessing}
    with pytest.raises(SettingsError, match=r"^EVENTS: has no effect alone; name the streams"):
        settings(**events)


@pytest.mark.parametrize(
    "user",
    [
        {"STREAMS": "all"},
        {"CLOCK": "nidq"},
        {"PREPROCESSING": '{"remove_artifacts": {"triggers": "nidq:XA2"}}'},
    ],
)
def test_thresholds_are_of_a_session_a_clock_or_triggers(user: dict[str, str]) -> None:
    events = {"nidq:XA2": {"threshold_v": 1.5}}
    assert settings(EVENTS=json.dumps(events), **user).events == events


def laptop_refuses(params: dict[str, Any], events: object = None, **variables: str) -> list[str]:
    pipeline = json.dumps({"remove_artifacts": params, "common_reference": {}})
    return [*find_unknown_names(settings(events, PREPROCESSING=pipeline, **variables))]


@pytest.mark.parametrize("data_type", ["spikeglx", "openephysbinary"])
def test_artifacts_may_be_those_at_the_pulses_of_a_line(data_type: str) -> None:
    params = {"triggers": "nidq:line3", "ms_after": 2.0}
    assert not laptop_refuses(params, DATA_TYPE=data_type)
    assert not laptop_refuses({"list_triggers": [[100]]}, DATA_TYPE="nwb")
    threshold = {"nidq:XA2": {"threshold_v": 1.5}}
    assert not laptop_refuses({"triggers": "nidq:XA2"}, threshold, DATA_TYPE=data_type)


def test_triggers_of_simulated_recordings_are_refused() -> None:
    triggers = {"triggers": "nidq:line3"}
    simulated = {"SOURCE_FOLDER": "", "DATA_TYPE": "", "TEST_WITH_TOY_RECORDING": "true"}
    [problem] = laptop_refuses(triggers, **simulated)
    assert "give the frames of the artifacts in list_triggers" in problem


@pytest.mark.parametrize(
    ("params", "data_type", "reason"),
    [
        ({"triggers": "nidq:line3"}, "nwb", "read from spikeglx and openephys only"),
        ({"triggers": "line3"}, "spikeglx", "'line3' is not a line of a stream"),
        ({"triggers": ["nidq:line3"]}, "spikeglx", "name one line"),
        ({"triggers": "nidq:line3", "list_triggers": [1]}, "spikeglx", "give one of them"),
        ({"triger": "nidq:line3"}, "spikeglx", "no parameter triger; did you mean triggers?"),
        ({"triggers": "nidq:line3", "ms_affter": 2}, "spikeglx", "did you mean ms_after?"),
        ({"triggers": "nidq:XA2"}, "spikeglx", 'EVENTS={"nidq:XA2": {"threshold_v": 1.5}}'),
    ],
)
def test_triggers_that_no_job_could_find_are_refused_on_the_laptop(
    params: dict[str, Any], data_type: str, reason: str
) -> None:
    [problem] = laptop_refuses(params, DATA_TYPE=data_type)
    assert problem.startswith("PREPROCESSING: remove_artifacts")
    assert reason in problem
