"""NWB files opened over HTTP, with range requests, from a server of this test."""

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.settings import DandiAccess
from spikeinterface_cloud.errors import RecordingError, SettingsError, SourceError, TransferError
from spikeinterface_cloud.recording.checks import check_recording
from spikeinterface_cloud.recording.load import first_frames, open_streamed_nwb
from spikeinterface_cloud.recording.source import SourceRequest, find_source
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import simulate
from tests.support.servers import S3Server

pytestmark = pytest.mark.integration

SIGNATURE = "X-Amz-Signature=0123456789abcdef"


class RangeServer(http.server.ThreadingHTTPServer):
    """Serves a folder with range requests, as S3 does, and counts the bytes it sends."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(RangeHandler, directory=str(folder)))
        self.sent_bytes = 0
        self.url = f"http://127.0.0.1:{self.server_port}"


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    server: RangeServer

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path))
        if "forbidden" in file.name:
            return self.send_error(HTTPStatus.FORBIDDEN)
        if not file.is_file():
            return self.send_error(HTTPStatus.NOT_FOUND)
        size = file.stat().st_size
        first, last = 0, size - 1
        if wanted := self.headers.get("Range"):
            first, last = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
        self.send_response(HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if wanted:  # a request for all of it only asks how long it is
            with file.open("rb") as stream:
                stream.seek(first)
                self.wfile.write(stream.read(last - first + 1))
            self.server.sent_bytes += last - first + 1
        return None

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output to itself."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    with RangeServer(tmp_path) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=10.0, n_channels=32, n_units=3)[0]


def test_the_first_second_is_read_without_the_rest(
    tmp_path: Path, simulated: BaseRecording, server: RangeServer
) -> None:
    """With its LFP left aside, its probe, and its starting time."""
    layout = NwbLayout(with_lfp=True, starting_time=7.0, compression=None)
    file = write_nwb(tmp_path / "a.nwb", simulated, layout)
    streamed = first_frames(open_streamed_nwb(f"{server.url}/a.nwb?{SIGNATURE}", {}), 30000)
    checked, notes = check_recording(streamed)
    np.testing.assert_array_equal(checked.get_traces(), simulated.get_traces(end_frame=30000))
    assert checked.get_start_time() == 7.0
    assert any("clock starts at 7 s" in note for note in notes)
    assert checked.get_annotation("stream_name") == "acquisition/ElectricalSeries"
    assert server.sent_bytes < file.stat().st_size


def test_two_streamed_series_are_refused_without_a_choice(
    tmp_path: Path, simulated: BaseRecording, server: RangeServer
) -> None:
    """The same rules as for a file that was downloaded."""
    write_nwb(tmp_path / "a.nwb", {"Raw": simulated, "Filtered": simulated})
    url = f"{server.url}/a.nwb"
    with pytest.raises(SettingsError, match="acquisition/Filtered"):
        open_streamed_nwb(url, {})
    chosen = open_streamed_nwb(url, {"electrical_series_path": "acquisition/Raw"})
    assert chosen.get_num_channels() == 32


@pytest.mark.parametrize(("name", "code"), [("missing.nwb", "404"), ("forbidden.nwb", "403")])
def test_an_inaccessible_file_is_refused(server: RangeServer, name: str, code: str) -> None:
    """One line with the URL, and without its signature."""
    with pytest.raises(SourceError) as raised:
        open_streamed_nwb(f"{server.url}/{name}?{SIGNATURE}", {})
    message = str(raised.value)
    assert message.startswith(f"{server.url}/{name} cannot be read: ")
    assert code in message
    assert "Signature" not in message
    assert "\n" not in message


def test_a_truncated_streamed_file_is_refused(
    tmp_path: Path, simulated: BaseRecording, server: RangeServer
) -> None:
    """HDF5 knows its own length: to try again would not help."""
    file = write_nwb(tmp_path / "a.nwb", simulated)
    file.write_bytes(file.read_bytes()[:500_000])
    with pytest.raises(RecordingError, match="truncated"):
        open_streamed_nwb(f"{server.url}/a.nwb", {})


def test_an_unreachable_server_is_a_transfer_error() -> None:
    """The network is tried again, and then a new attempt of the job may help."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(TransferError) as raised:
        open_streamed_nwb(f"http://127.0.0.1:{port}/a.nwb?{SIGNATURE}", {})
    assert raised.value.exit_code == os.EX_TEMPFAIL
    assert "Signature" not in str(raised.value)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path: Path, server: RangeServer) -> None:
    """HTML, say, from a page that says that one has to log in."""
    (tmp_path / "a.nwb").write_text("<html>" + "please log in " * 1000)
    with pytest.raises(RecordingError, match="not a valid HDF5 file"):
        open_streamed_nwb(f"{server.url}/a.nwb?{SIGNATURE}", {})


def test_an_object_that_was_replaced_is_not_streamed(
    tmp_path: Path, simulated: BaseRecording, moto_s3: S3Server, bucket: str
) -> None:
    """What was found is what `run.json` names."""
    file = write_nwb(tmp_path / "a.nwb", simulated)
    moto_s3.client.upload_file(str(file), bucket, "a.nwb")
    request = SourceRequest(
        location=S3Location(bucket=bucket, key="a.nwb"),
        data_type="nwb",
        read_recording_kwargs={},
        probe_file=None,
        n_frames=30_000,
    )
    found = find_source(request, moto_s3.access, DandiAccess())
    assert found.stream is not None
    assert open_streamed_nwb(found.stream(), {}).get_num_channels() == 32
    moto_s3.client.put_object(Bucket=bucket, Key="a.nwb", Body=b"another one")
    with pytest.raises(SourceError, match="was replaced while the job was reading it"):
        found.stream()
