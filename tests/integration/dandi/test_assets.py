"""Files on DANDI: found by any name, read with a key or without, verified, and streamed."""

import os
import pty
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import h5py
import numpy as np
import pytest
import remfile
import requests
from pydantic import SecretStr

from spikeinterface_cloud.config.locations import DandiAsset, S3Location
from spikeinterface_cloud.config.settings import AwsSettings, DandiAccess
from spikeinterface_cloud.dandi.archive_assets import ArchiveFile
from spikeinterface_cloud.dandi.assets import remote_file, resolve, streaming_url
from spikeinterface_cloud.dandi.client import translate_errors
from spikeinterface_cloud.dandi.instances import locate
from spikeinterface_cloud.errors import (
    CloudJobError,
    RecordingError,
    SettingsError,
    SourceError,
    TransferError,
)
from spikeinterface_cloud.storage.download import download
from spikeinterface_cloud.storage.hdf5_signature import check_remote_hdf5
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts
from tests.support.dandi_stand_in import (
    BUCKET,
    OWNER_KEY,
    STRANGER_KEY,
    Asset,
    DandiStandIn,
    Fault,
)
from tests.support.nwb_files import write_nwb
from tests.support.recordings import simulate

pytestmark = pytest.mark.integration

OPEN = "000123"
EMBARGOED = "000124"
PATH = "sub-1/sub-1_ecephys.nwb"

SHORT_TIMEOUTS = NetworkTimeouts(connect_s=5, stall_s=5, give_up_s=2, longest_wait_s=0.1)
ALWAYS = 10**6

HOST = "host"
NOBODY = "0d3e8a1c-5d2b-4f6a-8c7e-9b1a2c3d4e5f"

#: where the client looks for a local archive
LOCAL = "http://localhost:8000/api"


@pytest.fixture
def archive() -> Iterator[DandiStandIn]:
    with DandiStandIn() as running:
        yield running


@pytest.fixture(scope="module")
def nwb_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of 8 channels."""
    file = tmp_path_factory.mktemp("nwb") / "recording.nwb"
    recording, _ = simulate(duration_s=1.0, n_channels=8)
    return write_nwb(file, recording)


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 MiB that begin like HDF5: nine ranges, and two parts of DANDI's digest."""
    file = tmp_path_factory.mktemp("large") / "large.nwb"
    content = np.random.default_rng(1).bytes(70 * 1024**2)
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + content)
    return file


def find(url: str, key: str | None = None) -> ArchiveFile:
    """Find an asset of an archive that the settings name."""
    parts = urlsplit(url)
    instance_url = f"{parts.scheme}://{parts.netloc}/api" if parts.scheme != "dandi" else LOCAL
    found = resolve(DandiAsset(url=url), access(key, instance_url))
    assert isinstance(found, ArchiveFile)
    return found


def access(key: str | None, instance_url: str | None = None) -> DandiAccess:
    return DandiAccess(api_key=SecretStr(key) if key else None, instance_url=instance_url)


def refusal(url: str, key: str | None = None) -> CloudJobError:
    with pytest.raises(CloudJobError) as refused:
        find(url, key)
    assert "\n" not in str(refused.value)
    return refused.value


NAMES: dict[str, Callable[[DandiStandIn, Asset], str]] = {
    "identifier": lambda archive, asset: archive.asset_url(asset),
    "identifier without a slash": lambda archive, asset: archive.asset_url(asset).rstrip("/"),
    "download": lambda archive, asset: f"{archive.asset_url(asset)}download/",
    "in its dandiset": lambda archive, asset: archive.nested_asset_url(asset),
    "in its dandiset, download": lambda archive, asset: (
        f"{archive.nested_asset_url(asset)}download"
    ),
    "exact path": lambda archive, asset: f"{archive.assets_url(OPEN)}?path={asset.path}",
    "escaped path": lambda archive, _: (
        f"{archive.assets_url(OPEN)}?path=sub-1%2Fsub-1_ecephys.nwb&metadata=true"
    ),
    "prefix": lambda archive, _: f"{archive.assets_url(OPEN)}?path=sub-1/",
    "glob": lambda archive, _: f"{archive.assets_url(OPEN)}?glob=sub-1/*.nwb",
    "web page": lambda archive, asset: archive.web_url(OPEN, asset.path),
    "web page of the folder": lambda archive, _: archive.web_url(OPEN, "sub-1"),
    "web page, older": lambda archive, asset: archive.web_url(OPEN, asset.path).replace(
        "/dandiset/", "/#/dandiset/"
    ),
}


@pytest.mark.parametrize("form", NAMES)
def test_finds_the_asset_by_any_name(form: str, archive: DandiStandIn, nwb_file: Path) -> None:
    asset = archive.add_asset(OPEN, PATH, nwb_file)
    archive.add_asset(OPEN, "sub-10/sub-10_ecephys.nwb", nwb_file)
    archive.add_asset(OPEN, "sub-1/notes.json", nwb_file)

    file = find(NAMES[form](archive, asset))

    assert file.identifier == asset.identifier
    assert file.path == PATH
    assert file.size_bytes == nwb_file.stat().st_size
    assert file.dandi_etag == asset.etag
    assert file.sha256 == asset.digests["dandi:sha2-256"]
    assert not file.embargoed
    assert find(file.address).identifier == asset.identifier


def test_finds_the_asset_by_the_client_s_own_names(nwb_file: Path) -> None:
    try:
        archive = DandiStandIn(api_port=8000)
    except OSError:
        pytest.skip("port 8000, where the client looks for a local archive, is taken")
    with archive:
        asset = archive.add_asset(OPEN, PATH, nwb_file, embargoed=True)
        for end in (f"@draft/{PATH}", f"/{PATH}", f"/{PATH}/", "/sub-1/", "@draft", ""):
            file = find(f"dandi://dandi-api-local-docker-tests/{OPEN}{end}", OWNER_KEY)
            assert file.identifier == asset.identifier
            assert find(file.address, OWNER_KEY).identifier == asset.identifier


def test_a_dandiset_of_one_nwb_file_names_it(archive: DandiStandIn, nwb_file: Path) -> None:
    for number in range(150):  # more than a page
        archive.add_asset(OPEN, f"sub-1/notes-{number}.json", nwb_file, sha256=False)
    asset = archive.add_asset(OPEN, PATH, nwb_file, sha256=False)

    file = find(archive.web_url(OPEN))

    assert file.identifier == asset.identifier
    assert (file.dandiset, file.version) == (OPEN, "draft")
    assert file.sha256 is None


def test_the_publication_goes_before_the_draft(archive: DandiStandIn, nwb_file: Path) -> None:
    draft = archive.add_asset(OPEN, PATH, nwb_file)
    [published] = archive.publish(OPEN, "0.240102.0304")
    assert published.identifier == draft.identifier
    unversioned = f"{archive.url}/dandiset/{OPEN}/files?location={PATH}"

    assert find(unversioned).identifier == published.identifier
    assert find(unversioned).version == "0.240102.0304"
    assert find(archive.web_url(OPEN, PATH)).version == "draft"


def test_asset_of_another_dandiset_or_version_is_refused(
    archive: DandiStandIn, nwb_file: Path
) -> None:
    """The archive answers for an asset under every dandiset and version that exist."""
    asset = archive.add_asset(OPEN, PATH, nwb_file)
    archive.publish(OPEN, "0.240102.0304")
    later = archive.add_asset(OPEN, "sub-2/sub-2_ecephys.nwb", nwb_file)
    archive.add_asset("000125", PATH, nwb_file)
    for dandiset, version, each in (
        ("000125", "draft", asset),
        (OPEN, "0.240102.0304", later),
    ):
        url = f"{archive.assets_url(dandiset, version)}{each.identifier}/"
        assert requests.get(url, timeout=5).status_code == 200
        error = refusal(url)
        assert isinstance(error, SourceError)
        assert f"{dandiset}, version {version}, does not hold the asset" in str(error)
    assert find(f"{archive.assets_url(OPEN, '0.240102.0304')}{asset.identifier}/").path == PATH


def test_several_files_are_listed(archive: DandiStandIn, nwb_file: Path) -> None:
    for number in range(3):
        archive.add_asset(OPEN, f"sub-{number}/a.nwb", nwb_file)

    error = refusal(archive.web_url(OPEN))

    assert isinstance(error, SettingsError)
    assert "3 NWB files (sub-0/a.nwb, sub-1/a.nwb, sub-2/a.nwb)" in str(error)
    assert find(str(error).rpartition("like ")[2]).path == "sub-0/a.nwb"


def test_no_more_than_ten_files_are_listed(archive: DandiStandIn, nwb_file: Path) -> None:
    for number in range(12):
        archive.add_asset(OPEN, f"sub-{number:02}/a.nwb", nwb_file, sha256=False)

    error = refusal(f"{archive.assets_url(OPEN)}?glob=*.nwb")

    assert "more than 10 NWB files" in str(error)
    assert "sub-09/a.nwb" in str(error)
    assert "sub-10/a.nwb" not in str(error)


@pytest.mark.parametrize(
    "name",
    [
        lambda archive: archive.web_url("000999"),
        lambda archive: archive.web_url(OPEN, "sub-2/a.nwb"),
        lambda archive: archive.web_url(OPEN, "sub"),
        lambda archive: f"{archive.assets_url(OPEN)}?path=sub-2",
        lambda archive: f"{archive.assets_url(OPEN)}?glob=*.nwc",
        lambda archive: archive.assets_url(OPEN, "0.240102.0304"),
        lambda archive: f"{archive.api_url}/assets/{NOBODY}/",
        lambda archive: f"{archive.assets_url(OPEN)}{NOBODY}/",
    ],
)
def test_missing_asset_is_refused(
    name: Callable[[DandiStandIn], str], archive: DandiStandIn, nwb_file: Path
) -> None:
    archive.add_asset(OPEN, PATH, nwb_file)
    error = refusal(name(archive))
    assert isinstance(error, SourceError)
    assert "check the dandiset, its version, and the" in str(error)


def test_other_files_are_refused(archive: DandiStandIn, nwb_file: Path) -> None:
    notes = archive.add_asset(OPEN, "sub-1/notes.json", nwb_file)
    for name in (
        archive.asset_url(notes),
        archive.web_url(OPEN, notes.path),
        archive.web_url(OPEN),
    ):
        error = refusal(name)
        assert isinstance(error, RecordingError)
        assert "notes.json is not an NWB file" in str(error)


def test_a_key_is_sent_only_when_it_is_needed(archive: DandiStandIn, nwb_file: Path) -> None:
    asset = archive.add_asset(OPEN, PATH, nwb_file)
    find(archive.nested_asset_url(asset), "not a key, which the archive would refuse")
    assert not any(request.authorised for request in archive.requests)


@pytest.mark.parametrize("form", NAMES)
def test_reads_embargoed_files_with_a_key(
    form: str, archive: DandiStandIn, nwb_file: Path, tmp_path: Path
) -> None:
    asset = archive.add_asset(OPEN, PATH, nwb_file, embargoed=True)

    file = find(NAMES[form](archive, asset), OWNER_KEY)
    fetched = download(
        [remote_file(file, timeouts=SHORT_TIMEOUTS)], tmp_path, timeouts=SHORT_TIMEOUTS
    )

    assert file.embargoed
    assert fetched.files == (tmp_path / "sub-1_ecephys.nwb",)
    assert fetched.files[0].read_bytes() == nwb_file.read_bytes()


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (None, "is embargoed: set DANDI_API_KEY"),
        ("0" * 40, "the archive does not accept DANDI_API_KEY"),
        (STRANGER_KEY, "may not be read by the owner of DANDI_API_KEY"),
    ],
)
@pytest.mark.parametrize("form", ["identifier", "in its dandiset", "web page", "glob"])
def test_says_why_an_embargoed_file_may_not_be_read(
    key: str | None, sentence: str, form: str, archive: DandiStandIn, nwb_file: Path
) -> None:
    asset = archive.add_asset(OPEN, PATH, nwb_file, embargoed=True)
    error = refusal(NAMES[form](archive, asset), key)
    assert isinstance(error, SourceError)
    assert sentence in str(error)
    assert key is None or key not in str(error)


#: Asks for an asset in a process whose keyring would give the key away, as would its environment.
ASK = """
import sys
import keyring, keyring.backend
from spikeinterface_cloud.dandi.assets import resolve
from spikeinterface_cloud.errors import SourceError
from spikeinterface_cloud.config.locations import DandiAsset
from spikeinterface_cloud.config.settings import DandiAccess

class Willing(keyring.backend.KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        print("the keyring was asked")
        return sys.argv[2]
    def set_password(self, service, username, password):
        raise NotImplementedError

keyring.set_keyring(Willing())
if sys.argv[3] == "client":
    from dandi.dandiarchive import navigate_url
    with navigate_url(sys.argv[1], strict=True):
        sys.exit(0)
try:
    resolve(DandiAsset(url=sys.argv[1]), DandiAccess(instance_url=sys.argv[4]))
except SourceError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def ask(
    url: str, who: str, stdin: int, environ: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ASK, url, OWNER_KEY, who, url.partition("/assets/")[0]],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        env={**os.environ, "DANDI_NO_ET": "1", **environ},
        check=False,
    )


@pytest.mark.parametrize("terminal", [True, False])
def test_client_never_prompts_for_a_key(
    terminal: bool, archive: DandiStandIn, nwb_file: Path
) -> None:
    asset = archive.add_asset(EMBARGOED, PATH, nwb_file, embargoed=True)
    key_of_the_archive = {f"{archive.url.removeprefix('http://')}_API_KEY": OWNER_KEY}
    controller, terminal_end = pty.openpty()
    try:
        stdin = terminal_end if terminal else subprocess.DEVNULL
        asked = ask(archive.asset_url(asset), "job", stdin, key_of_the_archive)
    finally:
        os.close(terminal_end)
        os.close(controller)
    assert asked.returncode == os.EX_NOINPUT
    assert asked.stdout.endswith("set DANDI_API_KEY to a key that may read it\n")
    assert "Please provide" not in asked.stdout
    assert "keyring" not in asked.stdout


def test_client_by_default_searches_the_keyring(archive: DandiStandIn, nwb_file: Path) -> None:
    asset = archive.add_asset(EMBARGOED, PATH, nwb_file, embargoed=True)
    asked = ask(archive.asset_url(asset), "client", subprocess.DEVNULL, {})
    assert asked.returncode == 0
    assert "the keyring was asked" in asked.stdout


@pytest.mark.parametrize("form", NAMES)
def test_unknown_server_gets_neither_key_nor_request(
    form: str, archive: DandiStandIn, nwb_file: Path
) -> None:
    asset = archive.add_asset(OPEN, PATH, nwb_file, embargoed=True)
    url = NAMES[form](archive, asset)
    for instance_url in (None, "https://api.dandi.my-lab.org/api"):
        with pytest.raises(SettingsError) as refused:
            resolve(DandiAsset(url=url), access(OWNER_KEY, instance_url))
        assert "is not on a known DANDI archive" in str(refused.value)
        assert f"set DANDI_INSTANCE_URL to the URL of its API, like https://{HOST}" in re.sub(
            r"127\.0\.0\.1:\d+", HOST, str(refused.value)
        )
    assert archive.requests == []


@pytest.mark.parametrize(
    "url", ["{web}/dandiset/{0}", "{api}/api/dandisets/{0}/", "dandi://{1}/{0}"]
)
def test_known_archives_are_reached_over_https_alone(url: str) -> None:
    from dandi.consts import known_instances

    for name, instance in known_instances.items():
        given = url.format(OPEN, name, web=instance.gui, api=instance.api.removesuffix("/api"))
        if name == "dandi-api-local-docker-tests":
            with pytest.raises(SettingsError, match="known"):
                locate(given, None)
        else:
            assert locate(given, None).instance == instance
            assert locate(given.replace("https://", "http://"), None).instance == instance
            assert instance.api.startswith("https://")


def test_key_is_not_sent_to_another_server_that_the_archive_names(
    archive: DandiStandIn, nwb_file: Path
) -> None:
    with DandiStandIn() as other:
        for running in (archive, other):
            for number in range(120):  # more than a page
                running.add_asset(EMBARGOED, f"sub-1/{number}.json", nwb_file, embargoed=True)
        archive.next_pages_at = other.url
        with pytest.raises(CloudJobError):
            find(archive.web_url(EMBARGOED), OWNER_KEY)
        assert any(request.authorised for request in archive.requests)
        assert other.requests
        assert not any(request.authorised for request in other.requests)


class Pretender(BaseHTTPRequestHandler):
    """A server that gives the same answer to everything."""

    body: ClassVar[bytes]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


#: answers that no archive gives, which the client takes for the archive's
BROKEN_ANSWERS = {
    "empty": b"",
    "empty object": b"{}",
    "empty list": b"[]",
    "null": b"null",
    "text": b'"text"',
    "number": b"1",
    "page": b"<html>",
    "bytes": b"\xff\xfe",
    "other object": b'{"results": [], "next": null}',
    "values of other types": b'{"identifier": 5, "draft_version": null}',
    "nested": b"[" * 100_000,
}


@pytest.mark.parametrize("body", BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS)
@pytest.mark.parametrize("form", ["api/assets/{0}/", "dandiset/000006", "api/dandisets/000006/"])
def test_server_that_does_not_answer_like_an_archive_is_refused(form: str, body: bytes) -> None:
    handler = type("Handler", (Pretender,), {"body": body})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        try:
            error = refusal(
                f"http://127.0.0.1:{server.server_port}/{form.format(NOBODY)}", OWNER_KEY
            )
        finally:
            server.shutdown()
    assert isinstance(error, SettingsError)
    assert "the server does not answer like a DANDI archive" in str(error)


def test_an_archive_without_that_name_is_refused() -> None:
    error = refusal("dandi://dandy/000006/a.nwb")
    assert isinstance(error, SettingsError)
    assert "the known ones are dandi, dandi-sandbox, ember-dandi" in str(error)


def test_unreachable_archive_is_a_transfer_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        error = refusal(f"http://{host}/api/assets/0d3e8a1c-5d2b-4f6a-8c7e-9b1a2c3d4e5f/")
    assert isinstance(error, TransferError)
    assert f"no connection to {host}" in str(error)


def test_busy_archive_is_retried(archive: DandiStandIn, nwb_file: Path) -> None:
    asset = archive.add_asset(OPEN, PATH, nwb_file)
    find(archive.asset_url(asset))  # the client has learned what the archive is
    archive.inject("api", Fault.UNAVAILABLE)
    assert find(archive.asset_url(asset)).identifier == asset.identifier
    assert archive.count("api", status=503) == 1


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, None])
def test_failure_after_the_client_s_retries_is_a_transfer_error(
    fault: Fault | None, archive: DandiStandIn
) -> None:
    if fault is not None:
        archive.inject("api", fault)
    url = f"{archive.api_url}/info/" if fault is not None else "http://127.0.0.1:1/"
    with pytest.raises(TransferError, match="look up an asset"), translate_errors("an asset"):
        requests.get(url, timeout=5).raise_for_status()


def test_reads_in_ranges_and_verifies(
    archive: DandiStandIn, large_file: Path, tmp_path: Path
) -> None:
    asset = archive.add_asset(OPEN, PATH, large_file)
    remote = remote_file(find(archive.asset_url(asset)))

    check_remote_hdf5(remote)
    fetched = download([remote], tmp_path).files[0]

    assert remote.digest is not None
    assert remote.digest.value == asset.etag
    assert fetched.read_bytes() == large_file.read_bytes()
    assert archive.count("store", status=206) == 1 + 9
    assert archive.count("store", "HEAD") == 0


def test_url_that_expires_during_a_transfer_is_renewed(
    archive: DandiStandIn, large_file: Path, tmp_path: Path
) -> None:
    asset = archive.add_asset(EMBARGOED, PATH, large_file, embargoed=True)
    remote = remote_file(find(archive.asset_url(asset), OWNER_KEY), timeouts=SHORT_TIMEOUTS)
    archive.inject("store", Fault.EXPIRED_SIGNATURE, after=3)

    fetched = download([remote], tmp_path, timeouts=SHORT_TIMEOUTS).files[0]

    assert fetched.read_bytes() == large_file.read_bytes()
    assert archive.count("store", status=403) >= 1
    assert archive.count("api", "HEAD", 302) == 2


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.SHORT_BODY])
def test_failing_store_is_retried(
    fault: Fault, archive: DandiStandIn, large_file: Path, tmp_path: Path
) -> None:
    asset = archive.add_asset(OPEN, PATH, large_file)
    archive.inject("store", fault, times=6, after=2)
    fetched = download([remote_file(find(archive.asset_url(asset)))], tmp_path).files[0]
    assert fetched.read_bytes() == large_file.read_bytes()
    assert archive.count("store") >= 9 + 6


@pytest.mark.parametrize("which", ["nwb_file", "large_file"])
def test_wrong_bytes_never_get_the_file_s_name(
    which: str, archive: DandiStandIn, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    asset = archive.add_asset(OPEN, PATH, request.getfixturevalue(which))
    remote = remote_file(find(archive.asset_url(asset)))
    archive.inject("store", Fault.WRONG_BYTES, times=ALWAYS)

    with pytest.raises(RecordingError, match="blobs/"):
        download([remote], tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\n<!DOCTYPE html><html>" + b" " * 5000, "is a web page, not an NWB file"),
        (b"timestamp,voltage\n" * 500, "does not begin like HDF5"),
        (b"PK", "does not begin like HDF5"),
    ],
)
def test_file_that_is_not_hdf5_is_refused_by_its_first_bytes(
    content: bytes, sentence: str, archive: DandiStandIn, tmp_path: Path
) -> None:
    pretender = tmp_path / "pretender.nwb"
    pretender.write_bytes(content)
    asset = archive.add_asset(OPEN, PATH, pretender)
    with pytest.raises(RecordingError, match=sentence):
        check_remote_hdf5(remote_file(find(archive.asset_url(asset))))


@pytest.mark.parametrize("embargoed", [False, True])
def test_streams_from_the_store_alone(
    embargoed: bool, archive: DandiStandIn, nwb_file: Path
) -> None:
    asset = archive.add_asset(OPEN, PATH, nwb_file, embargoed=embargoed)
    url = streaming_url(find(archive.asset_url(asset), OWNER_KEY))
    asked = archive.count("api")

    with h5py.File(remfile.File(url), "r") as remote, h5py.File(nwb_file, "r") as local:
        path = "acquisition/ElectricalSeries/data"
        assert np.array_equal(remote[path][:1000], local[path][:1000])

    assert (url == archive.blob_url(asset)) is not embargoed
    assert archive.count("api") == asked


def test_the_blob_is_a_public_object_of_s3(archive: DandiStandIn, large_file: Path) -> None:
    asset = archive.add_asset(OPEN, PATH, large_file)
    access = AwsSettings(endpoint_url=archive.store_url, region_name="us-east-2")
    storage = Storage(access, unsigned=True)
    location = S3Location(bucket=BUCKET, key=asset.key)
    digest = storage.stored_digest(location)
    assert storage.head(location).etag == asset.etag
    assert digest is not None
    assert (digest.value, digest.part_size_bytes) == (asset.etag, 64 * 1024**2)


def test_the_stand_in_guards_its_blobs_like_the_archive(
    archive: DandiStandIn, nwb_file: Path
) -> None:
    secret = archive.add_asset(EMBARGOED, PATH, nwb_file, embargoed=True)
    public = archive.add_asset(OPEN, PATH, nwb_file)
    signed = find(archive.asset_url(secret), OWNER_KEY).content_url()

    def status(method: str, url: str, **headers: str) -> int:
        return requests.request(method, url, headers=headers, timeout=5).status_code

    assert status("GET", signed) == 200
    assert status("HEAD", signed) == 403
    assert status("GET", archive.blob_url(secret)) == 403
    assert status("GET", archive.blob_url(public), Range="bytes=99999999-") == 416
    assert status("GET", archive.blob_url(public), Range="bytes=-5") == 206
    assert status("GET", archive.web_url(OPEN), Authorization="token wrong") == 401
    assert status("GET", archive.asset_url(public), Authorization="token wrong") == 401


def test_stand_in_answers_like_the_archive(archive: DandiStandIn, nwb_file: Path) -> None:
    """The bodies and codes of the real server, beside which the stand-in was compared."""
    asset = archive.add_asset(OPEN, PATH, nwb_file)
    archive.publish(OPEN, "0.240102.0304")

    def ask(method: str, path: str, key: str = OWNER_KEY, **content: Any) -> tuple[int, Any]:
        reply = requests.request(
            method,
            f"{archive.api_url}{path}",
            json=content,
            headers={"Authorization": f"token {key}"},
            allow_redirects=False,
            timeout=5,
        )
        try:
            return reply.status_code, reply.json()
        except ValueError:
            return reply.status_code, reply.text[:9]

    assets = f"/dandisets/{OPEN}/versions/draft/assets/"
    digest = {"algorithm": "dandi:dandi-etag", "value": "0" * 32 + "-1"}
    upload: dict[str, Any] = {"contentSize": 5, "digest": digest, "dandiset": OPEN}
    begun = ask("POST", "/uploads/initialize/", **upload)[1]
    assert isinstance(begun, dict)
    unfinished = f"/uploads/{begun['upload_id']}"
    missing = {"detail": "Not found."}
    only_drafts = "Only draft versions can be modified."
    published = assets.replace("draft", "0.240102.0304")
    assert ask("GET", f"/assets/{asset.identifier}") == (301, "")
    assert ask("GET", f"/dandisets/{OPEN}/versions/0.1.1/") == (404, "<!doctype")
    forbidden = ask("POST", "/uploads/initialize/", STRANGER_KEY, **upload)
    assert forbidden == (403, "Action not allowed")
    assert ask("POST", assets, STRANGER_KEY) == (403, "")
    assert ask("POST", published) == (405, only_drafts)
    assert ask("POST", f"{unfinished}/validate/") == (400, ["Object does not exist."])
    assert ask("POST", f"/uploads/{NOBODY}/validate/") == (404, missing)
    assert ask("POST", f"/uploads/{NOBODY}/complete/") == (404, missing)
    assert ask("POST", "/uploads/initialize/", **upload | {"contentSize": 0})[0] == 400
    assert ask("POST", "/uploads/initialize/", dandiset=OPEN)[0] == 400
    assert ask("PUT", f"{assets}{NOBODY}/", blob_id=NOBODY, metadata={"path": PATH})[0] == 404
