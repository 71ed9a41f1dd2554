"""Triggers of a session on S3, from finding its files to the frames of the probe."""

from pathlib import Path

import numpy as np
import pytest

from spikeinterface_cloud.config.event_lines import Line, Threshold
from spikeinterface_cloud.config.locations import LocalFolder, S3Location
from spikeinterface_cloud.config.settings import AwsSettings, DandiAccess
from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.open import OpenedRecording, open_source
from spikeinterface_cloud.recording.source import SourceRequest, fetch_source, find_source
from spikeinterface_cloud.session.triggers import TriggerSource, resolve_triggers
from tests.support.recordings import simulate
from tests.support.servers import S3Server, access_to
from tests.support.sorted_results import upload_folder
from tests.support.stimulated_run import frames_of_probe, write_stimulated_run

pytestmark = pytest.mark.integration

#: when the stimulus began, in seconds of NI-DAQ's clock
STIMULI_S = np.array([1.1003, 4.75001, 9.00004, 14.2])


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    probe, _ = simulate(duration_s=16.0, n_channels=4, n_units=1)
    return write_stimulated_run(tmp_path_factory.mktemp("session"), probe, STIMULI_S)


def opened_from(
    location: S3Location | LocalFolder, aws: AwsSettings, folder: Path, streams: list[str]
) -> OpenedRecording:
    request = SourceRequest(
        location=location,
        data_type="spikeglx",
        read_recording_kwargs={},
        probe_file=None,
        event_streams=streams,
    )
    found = find_source(request, aws, DandiAccess())
    return open_source(fetch_source(found, folder), "spikeglx", {}, None)


def frames_at(line: str, opened: OpenedRecording, thresholds: dict[Line, Threshold]) -> list[int]:
    assert opened.path is not None
    source = TriggerSource(path=opened.path, data_type="spikeglx", kwargs={}, thresholds=thresholds)
    choice, notes = resolve_triggers(
        {"remove_artifacts": {"triggers": line, "mode": "linear"}}, opened.recording, source
    )
    assert isinstance(choice, list)
    assert not notes
    [step] = choice
    assert step["params"]["mode"] == "linear"
    [frames] = step["params"]["list_triggers"]
    return list(frames)


def test_pulses_of_ni_daq_are_frames_of_the_probe(
    session: Path, tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    upload_folder(moto_s3.client, session, bucket, "run")
    location = S3Location(bucket=bucket, key="run")
    opened = opened_from(location, access_to(moto_s3.url), tmp_path / "fetched", ["nidq"])
    assert opened.path is not None
    fetched = sorted(file.name.split(".", 1)[1] for file in opened.path.rglob("*.*"))
    assert fetched == ["imec0.ap.bin", "imec0.ap.meta", "nidq.bin", "nidq.meta"]
    truth = frames_of_probe(STIMULI_S)
    digital = frames_at("nidq:line3", opened, {})
    # an edge is seen at NI-DAQ's next sample, 1.2 samples of the probe later at most
    assert np.abs(np.array(digital) - truth - 0.6).max() < 1.7
    threshold = {Line("nidq", "XA0"): Threshold(1.5, 0.2)}
    assert frames_at("nidq:XA0", opened, threshold) == digital


def test_lines_of_a_stream_that_is_not_there_are_refused_before_anything_is_fetched(
    session: Path, tmp_path: Path
) -> None:
    source = LocalFolder(path=session)
    with pytest.raises(SettingsError, match=r"no stream 'nidaq'; did you mean nidq\?"):
        opened_from(source, AwsSettings(), tmp_path, ["nidaq"])


def test_a_line_without_pulses_is_refused(session: Path, tmp_path: Path) -> None:
    opened = opened_from(LocalFolder(path=session), AwsSettings(), tmp_path, ["nidq"])
    with pytest.raises(RecordingError, match=r"no pulse on nidq:line2; .* line0, line3;"):
        frames_at("nidq:line2", opened, {})


def test_triggers_are_refused_if_the_clocks_cannot_be_aligned(
    session: Path, tmp_path: Path
) -> None:
    run = tmp_path / session.name
    run.mkdir()
    for file in session.rglob("*"):
        if file.is_file():
            (run / file.name).write_bytes(file.read_bytes())
    [meta] = run.glob("*.nidq.meta")
    meta.write_text(meta.read_text().replace("syncSourceIdx=1", "syncSourceIdx=0"))
    opened = opened_from(LocalFolder(path=run), AwsSettings(), tmp_path / "fetched", ["nidq"])
    with pytest.raises(RecordingError, match=r"cannot be aligned: .*nidq has no sync line"):
        frames_at("nidq:line3", opened, {})
