"""Profiles, regions and networks that do not work: one line at once, and nothing is asked twice."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.batch_server import AwsServer
from tests.support.laptop import JOB, PLACE, Laptop

pytestmark = pytest.mark.integration

JOB_ID = "5cdc694e-2ec9-4b72-8d1c-371a69eff235"
NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


def write_config(laptop: Laptop, content: str) -> None:
    (laptop.folder / ".aws").mkdir(exist_ok=True)
    (laptop.folder / ".aws" / "config").write_text(content)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ("us-east-1a", "'us-east-1a' is not the name of a region; write it like us-east-1"),
        ("US-EAST-1", "'US-EAST-1' is not the name of a region; write it like us-east-1"),
        ("us east 1", "'us east 1' is not the name of a region; write it like us-east-1"),
        ("eu-west-9", "AWS has no region eu-west-9 that is found from here; did you mean eu-west-"),
        ("minio", "AWS has no region minio"),
    ],
)
@pytest.mark.parametrize("command", [("status", JOB_ID), (*JOB, *PLACE), ("infra", "status")])
def test_unknown_region_is_refused_at_once(
    laptop: Laptop, region: str, message: str, command: tuple[str, ...]
) -> None:
    done = laptop.run(*command, "--region", region, env={"AWS_ENDPOINT_URL": None})
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: --region: {message}")
    assert done.returncode == 2


@pytest.mark.parametrize("command", [("status", JOB_ID), (*JOB, *PLACE)])
def test_server_of_ones_own_may_name_its_region(
    laptop: Laptop, aws: AwsServer, command: tuple[str, ...]
) -> None:
    aws.refuse("*", "ClientException", "not today", times=10)  # moto has no other regions
    done = laptop.run(*command, "--region", "garage")
    assert "not today" in done.stderr
    assert {call.region for call in aws.calls} == {"garage"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("credential_process = /none/program --x", "check credential_process = /none/program --x"),
        ("credential_process = true", "check credential_process = true in ~/.aws/config"),
        ("credential_process = echo not-json", "check credential_process = echo not-json"),
        ("credential_process = echo [1]", "check credential_process = echo [1] in"),
        ('credential_process = echo "', 'check credential_process = echo " in'),
        (
            "web_identity_token_file = /none/token\nrole_arn = arn:aws:iam::123456789012:role/lab",
            "check web_identity_token_file = /none/token in",
        ),
    ],
)
def test_broken_profile_is_one_line(laptop: Laptop, setting: str, message: str) -> None:
    write_config(laptop, f"[profile lab]\nregion = us-east-1\n{setting}\n")
    done = laptop.run("status", JOB_ID, "--profile", "lab", env=NO_KEYS)
    [line] = done.stderr.splitlines()
    assert line.startswith("Error: the profile lab gives no credentials: ")
    assert message in line
    assert done.returncode == 1


def test_profile_of_aws_login_is_understood(laptop: Laptop) -> None:
    session = "arn:aws:sts::123456789012:assumed-role/lab/me"
    write_config(laptop, f"[profile lab]\nregion = us-east-1\nlogin_session = {session}\n")
    done = laptop.run("status", JOB_ID, "--profile", "lab", env=NO_KEYS)
    [line] = done.stderr.splitlines()
    assert "aws login" in line
    assert "Missing Dependency" not in line
    assert done.returncode == 1


MFA = """\
[profile me]
aws_access_key_id = AKIAME
aws_secret_access_key = x
[profile lab]
region = us-east-1
role_arn = arn:aws:iam::123456789012:role/lab
source_profile = me
mfa_serial = arn:aws:iam::123456789012:mfa/me
"""


def test_mfa_code_is_asked_once(laptop: Laptop, aws: AwsServer) -> None:
    write_config(laptop, MFA)
    command = ("status", JOB_ID, "--profile", "lab")
    _, output = laptop.answer("123456", *command, env=NO_KEYS)
    assert "Enter MFA code for arn:aws:iam::123456789012:mfa/me" in output
    assert len(aws.named("AssumeRole")) == 1
    assert list((laptop.folder / ".aws" / "cli" / "cache").glob("*.json"))
    done = laptop.run(*command, env=NO_KEYS)
    assert "MFA" not in done.stderr
    assert len(aws.named("AssumeRole")) == 1
    assert len({call.access_key for call in aws.named("describejobs")}) == 1


@pytest.mark.parametrize("content", ["", "{}", '{"Credentials": {}}', "[]"])
def test_half_written_cache_is_no_cache(laptop: Laptop, aws: AwsServer, content: str) -> None:
    role = "role_arn = arn:aws:iam::123456789012:role/lab\nsource_profile = base"
    keys = "aws_access_key_id = AKIATEST\naws_secret_access_key = x"
    write_config(laptop, f"[profile lab]\nregion = us-east-1\n{role}\n[profile base]\n{keys}\n")
    assert laptop.run("list", *PLACE[:2], "--profile", "lab", env=NO_KEYS).returncode == 0
    [file] = (laptop.folder / ".aws" / "cli" / "cache").iterdir()
    file.write_text(content)
    done = laptop.run("list", *PLACE[:2], "--profile", "lab", env=NO_KEYS)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(aws.named("AssumeRole")) == 2


def test_mfa_without_terminal_is_one_line(laptop: Laptop) -> None:
    write_config(laptop, MFA)
    done = laptop.run("status", JOB_ID, "--profile", "lab", env=NO_KEYS)
    assert "the profile lab asks for an MFA code, and there is no terminal" in done.stderr
    assert "GetPassWarning" not in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("command", [("wait", JOB_ID), ("status", JOB_ID)])
def test_untrusted_certificate_is_not_retried(
    laptop: Laptop, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with untrusted_server(tmp_path) as (url, connections):
        done = laptop.run(*command, env={"AWS_ENDPOINT_URL": url})
    assert len(connections) == 1
    assert "certificate verify failed" in done.stderr
    assert "set AWS_CA_BUNDLE to a file" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode != 0


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_missing_file_of_certificates_is_named(laptop: Laptop, variable: str) -> None:
    done = laptop.run("wait", JOB_ID, env={variable: "/none/lab.pem"})
    [line] = done.stderr.splitlines()
    assert line.startswith("Error: there is no file /none/lab.pem")
    assert done.returncode == 1


def test_file_without_certificates_is_named(laptop: Laptop, tmp_path: Path) -> None:
    file = tmp_path / "lab.pem"
    file.write_text("not a certificate")
    done = laptop.run("wait", JOB_ID, env={"AWS_CA_BUNDLE": str(file)})
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: {file} holds no certificates of servers that can be read: ")
    assert done.returncode == 1


@contextmanager
def untrusted_server(folder: Path) -> Iterator[tuple[str, list[object]]]:
    """A server with a certificate of its own making, and the connections that reached it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(folder))
    connections: list[object] = []

    class Server(ThreadingHTTPServer):
        def get_request(self) -> tuple[ssl.SSLSocket, object]:
            connection, address = super().get_request()
            connections.append(address)
            return context.wrap_socket(connection, server_side=True), address

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of clients that hang up."""

    server = Server(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}", connections
    finally:
        server.shutdown()
        server.server_close()


def self_signed(folder: Path) -> Path:
    """Write a key and its certificate to one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "server.pem"
    file.write_bytes(private + certificate.public_bytes(pem))
    return file
