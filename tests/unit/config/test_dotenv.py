"""What is read of a `.env` file, and what is refused rather than left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from spikeinterface_cloud.config.dotenv import load_env_file
from spikeinterface_cloud.errors import SettingsError
from submit_job import program


def written(folder: Path, content: bytes) -> Path:
    file = folder / "job.env"
    file.write_bytes(content)
    return file


def refused(file: Path) -> str:
    with pytest.raises(SettingsError) as refusal:
        load_env_file(file)
    assert refusal.value.exit_code == 78
    return str(refusal.value)


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"", {}),
        (b"# nothing\n\n", {}),
        (b"A=1\nB = 2 # two\nexport C=3\n", {"A": "1", "B": "2", "C": "3"}),
        (b'A=\'{"a": 1}\'\r\nB={"b": 2}\r\n', {"A": '{"a": 1}', "B": '{"b": 2}'}),
        (b"\xef\xbb\xbfA=1", {"A": "1"}),
        ("A=Müller\n".encode(), {"A": "Müller"}),
        (b"A=\nB\n", {}),
        (b'A="1\n2"\nmy.name-2=x\n', {"A": "1\n2", "my.name-2": "x"}),
    ],
)
def test_dotenv_values_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, values: dict[str, str]
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    assert load_env_file(written(tmp_path, content)) == values
    assert values.items() <= os.environ.items()


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b'A=1\nB="{"hidden": 1}"\n', [2]),
        (b"A=1\n\n# c\n\nB='hidden' x\nC=1\n", [5]),
        (b"A='hidden\nB=1\n", [1]),
        (b"A: hidden\nset B=hidden\n", [1, 2]),
        (b'A:hidden\n$env:B=hidden\n"C"=hidden\n', [1, 2, 3]),
        (b"A=1\r\n\r\nB='hidden' x\r\n", [3]),
    ],
)
def test_unreadable_line_is_refused(tmp_path: Path, content: bytes, lines: list[int]) -> None:
    file = written(tmp_path, content)
    message = refused(file)
    assert message.splitlines() == [
        f"{file}: line {line} cannot be read; write NAME=value, and JSON in single quotes: "
        "NAME='{\"name\": 1}'"
        for line in lines
    ]
    assert "hidden" not in message


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_file_that_is_not_utf_8_is_refused(tmp_path: Path, encoding: str) -> None:
    file = written(tmp_path, "RUN_IDENTIFIER=Müller\r\n".encode(encoding))
    assert refused(file) == f"{file} is not UTF-8; save it as UTF-8"


def test_file_that_cannot_be_read_is_refused() -> None:
    file = Path("/proc/self/mem")  # even root fails to read it
    assert refused(file) == f"{file} cannot be read (Input/output error); check it"


def test_environment_overrides_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ["A_OF_TEST"] = "environment"
    load_env_file(written(tmp_path, b"A_OF_TEST=file\nB_OF_TEST=${A_OF_TEST} and file\n"))
    assert os.environ["A_OF_TEST"] == "environment"
    assert os.environ["B_OF_TEST"] == "environment and file"
    load_env_file(tmp_path / "none")


@pytest.mark.parametrize(
    ("environment", "content", "added"),
    [
        ({"AWS_ACCESS_KEY_ID": "a"}, b"AWS_PROFILE=lab\nB_OF_TEST=1\n", {"B_OF_TEST"}),
        ({"AWS_PROFILE": "lab"}, b"AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n", set()),
        ({"AWS_ACCESS_KEY_ID": "a"}, b"AWS_SESSION_TOKEN=of-others\n", set()),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, b"AWS_REGION=us-east-1\n", set()),
        ({"AWS_PROFILE": ""}, b"AWS_ACCESS_KEY_ID=a\n", {"AWS_ACCESS_KEY_ID"}),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, b"AWS_REGION_NAME=us-east-1\n", {"AWS_REGION_NAME"}),
        ({"B_OF_TEST": " "}, b"B_OF_TEST=1\nC_OF_TEST=\n", {"B_OF_TEST"}),
    ],
)
def test_credentials_and_region_are_not_mixed_from_both(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    content: bytes,
    added: set[str],
) -> None:
    others = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    monkeypatch.setattr(os, "environ", others | environment)
    assert load_env_file(written(tmp_path, content)).keys() == added
    assert {name for name in os.environ if os.environ[name].strip()} == (
        {name for name, text in (others | environment).items() if text.strip()} | added
    )


def test_laptop_refuses_the_same_file(tmp_path: Path) -> None:
    file = written(tmp_path, b'SORTERS_KWARGS="{"simple": {}}"\n')
    shown = CliRunner().invoke(program, ["--env-file", str(file), "--dry-run"])
    assert isinstance(shown.exception, SettingsError)
    assert str(shown.exception) == refused(file)
