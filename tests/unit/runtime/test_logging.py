"""Exit codes as users and retry rules know them, and the lines that a step leaves in the log."""

import logging
import re
import warnings
from pathlib import Path

import pytest

from spikeinterface_cloud import errors
from spikeinterface_cloud.preflight import CheckResult, table
from spikeinterface_cloud.runtime.logging import Step, configure_logging, format_bytes, step


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SettingsError, 78),
        (errors.SourceError, 66),
        (errors.RecordingError, 65),
        (errors.UnavailableError, 69),
        (errors.SortingError, 70),
        (errors.TargetError, 73),
        (errors.TransferError, 75),
        (errors.Interrupted, 75),
    ],
)
def test_the_exit_codes_of_the_contract(error: type[errors.CloudJobError], code: int) -> None:
    assert error.exit_code == code


def test_transfer_error_names_file_and_location() -> None:
    error = errors.TransferError("download", "s3://b/k", "/scratch/k", "connection reset")
    assert str(error).startswith("download s3://b/k -> /scratch/k: connection reset")


def test_interruption_passes_handlers_of_every_exception() -> None:
    assert not issubclass(errors.Interrupted, Exception)


def test_step_records_seconds_and_bytes(caplog: pytest.LogCaptureFixture) -> None:
    steps: list[Step] = []
    with caplog.at_level(logging.INFO), step("fetch", steps) as fetching:
        fetching.size_bytes = 2048
    assert [one.name for one in steps] == ["fetch"]
    assert steps[0].seconds is not None
    assert re.search(r"fetch done in \d+\.\d s, 2\.0 KiB", caplog.text)


def test_failed_step_records_seconds(caplog: pytest.LogCaptureFixture) -> None:
    steps: list[Step] = []
    with caplog.at_level(logging.INFO), pytest.raises(ValueError, match="no"), step("x", steps):
        raise ValueError("no")
    assert steps[0].seconds is not None
    assert "x stopped after" in caplog.text


def test_line_has_utc_time_and_no_module(tmp_path: Path) -> None:
    configure_logging(tmp_path / "folder" / "run.log")
    logging.getLogger("spikeinterface_cloud.test").info("a line")
    text = (tmp_path / "folder" / "run.log").read_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO    a line\n", text)


def test_library_warnings_are_logged_once_to_the_file_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(tmp_path / "run.log")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn("two\n  lines", stacklevel=1)
            logging.getLogger("library").warning("%s is slow", "x")
    logged = [line.split(maxsplit=2)[2] for line in (tmp_path / "run.log").open()]
    assert logged == ["UserWarning: two lines\n", "x is slow\n"]
    assert capsys.readouterr().err == ""


def test_library_errors_and_own_warnings_are_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging()
    logging.getLogger("library").error("broken")
    logging.getLogger("spikeinterface_cloud.test").warning("unusual")
    lines = [line.split(maxsplit=1)[1] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["ERROR   broken", "WARNING unusual"]


def test_logs_contain_no_signed_urls(tmp_path: Path) -> None:
    configure_logging(tmp_path / "run.log")
    url = "https://bucket/x.nwb?X-Amz-Date=1&X-Amz-Signature=SECRET"
    try:
        raise OSError(f"cannot read {url}")
    except OSError:
        logging.getLogger("spikeinterface_cloud.test").exception("failed at %s", url)
    text = (tmp_path / "run.log").read_text()
    assert "OSError: cannot read https://bucket/x.nwb?***" in text
    assert "SECRET" not in text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 Bytes"), (1023, "1023 Bytes"), (1024, "1.0 KiB"), (5 * 1024**4, "5.0 TiB")],
)
def test_bytes_are_formatted_in_binary_units(size_bytes: int, text: str) -> None:
    assert format_bytes(size_bytes) == text


#: a line end, a color, the title of a terminal, a C1 control, a right-to-left override
HOSTILE = (
    "AP0\n2026-01-01T00:00:00Z ERROR   forged\r\x1b[31m\x1b]0;title\x07\x9b2J\u2028\u202e\udcff"
)


def assert_plain(text: str) -> None:
    assert "forged" in text
    assert not re.search(r"^\S* ERROR   forged", text, re.MULTILINE)
    assert all(character.isprintable() for line in text.split("\n") for character in line)


def test_outside_text_forges_no_line_and_reaches_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(tmp_path / "run.log")
    logging.getLogger("spikeinterface_cloud.test").warning("channel %s", HOSTILE)
    logged = (tmp_path / "run.log").read_text()
    assert logged == capsys.readouterr().err
    assert logged.count("\n") == 1
    assert r"channel AP0\n2026" in logged
    assert_plain(logged)


def test_tracebacks_forge_no_line(tmp_path: Path) -> None:
    configure_logging(tmp_path / "run.log")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("spikeinterface_cloud.test").exception("failed")
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert "Traceback (most recent call last):" in lines[1]
    assert_plain("\n".join(lines))


def test_table_of_checks_controls_no_terminal() -> None:
    result = CheckResult(
        name="source", error=errors.SourceError("s3://lab/\x1b[31m\x9b2J: missing")
    )
    assert r"failed  s3://lab/\x1b[31m\x9b2J: missing" in table([result])


def test_table_of_checks_contains_no_password_of_a_url() -> None:
    url = "http://user:p@ss@minio:9000/lab"
    results = [
        CheckResult(name="target", error=errors.TargetError(f"cannot write {url}?X-Amz-Token=abc")),
        CheckResult(name="source", detail=url),
    ]
    shown = table(results)
    assert "cannot write http://***@minio:9000/lab?***" in shown
    assert "p@ss" not in shown


def test_printable_text_is_unchanged() -> None:
    assert errors.printable("µV, 10⁻⁴, Größe, 日本語 'x' \\n") == "µV, 10⁻⁴, Größe, 日本語 'x' \\n"
