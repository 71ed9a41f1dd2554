"""The files of a session that events and clocks are read from, without the samples of probes."""

from pathlib import Path

import numpy as np
import pytest

from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.recording.formats.session_streams import list_streams
from spikeinterface_cloud.recording.formats.source_files import list_files
from spikeinterface_cloud.session.events import read_events
from spikeinterface_cloud.session.line_files import fetch_line_files
from tests.support.nidq import write_nidq, write_onebox
from tests.support.recordings import SpikeGlxRun, simulate, write_open_ephys, write_spikeglx
from tests.support.servers import S3Server
from tests.support.sorted_results import upload_folder

pytestmark = pytest.mark.integration


def on_s3(server: S3Server, bucket: str, folder: Path, data_type: str) -> JobSettings:
    upload_folder(server.client, folder, bucket, folder.name)
    return JobSettings.from_env(
        {
            "AWS_S3_BUCKET": bucket,
            "AWS_S3_BUCKET_FOLDER": folder.name,
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION_NAME": "us-east-1",
            "DATA_TYPE": data_type,
            "SORTERS": "simple",
            "STREAMS": "all",
        }
    )


def test_spikeglx_streams_that_are_not_sorted_are_fetched_alone(
    tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    probe, _ = simulate(duration_s=1.0, n_channels=4, n_units=1)
    run = write_spikeglx(tmp_path, probe, SpikeGlxRun())
    words = np.zeros((25_000, 1), dtype="uint16")
    words[5_000:6_000] = 1 << 2
    write_nidq(run / f"{run.name}_t0", words)
    write_onebox(run / f"{run.name}_t0", words, np.zeros((25_000, 2), dtype="int16"))
    settings = on_s3(moto_s3, bucket, run, "spikeglx")
    names = dict.fromkeys(list_files(run), 1)
    auxiliary = list_streams("spikeglx", names).auxiliary
    path = fetch_line_files(settings, auxiliary, tmp_path / "fetched")
    assert path is not None
    fetched = {name.name.split(".", 1)[1] for name in list_files(path)}
    assert fetched == {"nidq.bin", "nidq.meta", "obx0.obx.bin", "obx0.obx.meta"}
    streams = {each.identifier: each for each in auxiliary}
    lines = read_events(path, "spikeglx", streams, {})
    assert lines["nidq"].lines["line2"].rising_s.tolist() == [0.2]
    assert lines["obx0"].lines["line2"].rising_s.tolist() == pytest.approx([5_000 / 30_000])
    assert fetch_line_files(settings, [], tmp_path / "nothing") is None


def test_open_ephys_ttl_events_of_sorted_streams_are_read_without_their_samples(
    tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    recording, _ = simulate(duration_s=1.0, n_channels=4, n_units=1)
    session = write_open_ephys(tmp_path, recording)
    [place] = session.rglob("recording1")
    for stream, start in (
        ("Acquisition_Board-100.acquisition_board", 300),
        ("NI-DAQmx-103.PXIe-6341", 600),
    ):
        ttl = place / "events" / stream / "TTL"
        ttl.mkdir(parents=True)
        np.save(ttl / "states.npy", np.array([2, -2], dtype="int16"))
        np.save(ttl / "sample_numbers.npy", np.array([start, start + 30]))
    settings = on_s3(moto_s3, bucket, session, "openephys")
    found = list_streams("openephys", dict.fromkeys(list_files(session), 1))
    path = fetch_line_files(settings, found.auxiliary, tmp_path / "fetched")
    assert path is not None
    samples = {file.parent.name: file.stat() for file in path.rglob("continuous.dat")}
    board = samples["Acquisition_Board-100.acquisition_board"]
    assert board.st_size == 30_000 * 6 * 2
    assert board.st_blocks == 0
    assert samples["NI-DAQmx-103.PXIe-6341"].st_blocks > 0
    streams = {each.folder: each for each in [*found.auxiliary, *found.sortable]}
    lines = read_events(path, "openephys", streams, {})
    rising = {name: each.lines["line2"].rising_s.tolist() for name, each in lines.items()}
    assert rising == {"PXIe-6341": [0.02], "acquisition_board": [0.01]}
