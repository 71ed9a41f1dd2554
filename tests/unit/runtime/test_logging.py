"""Exit codes as users and retry rules know them, and the lines that a step leaves in the log."""

import logging
import os
import re
from pathlib import Path

import pytest

from spikeinterface_cloud import errors
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


def test_a_transfer_error_says_what_was_moved_where() -> None:
    error = errors.TransferError("download", "s3://b/k", "/scratch/k", "connection reset")
    assert str(error).startswith("download s3://b/k -> /scratch/k: connection reset")


def test_no_library_that_catches_every_exception_swallows_an_interruption() -> None:
    assert not issubclass(errors.Interrupted, Exception)


def test_a_step_leaves_its_seconds_and_bytes(caplog: pytest.LogCaptureFixture) -> None:
    steps: list[Step] = []
    with caplog.at_level(logging.INFO), step("fetch", steps) as fetching:
        fetching.size_bytes = 2048
    assert [one.name for one in steps] == ["fetch"]
    assert steps[0].seconds is not None
    assert re.search(r"fetch done in \d+\.\d s, 2\.0 KiB", caplog.text)


def test_a_step_that_fails_leaves_its_seconds_too(caplog: pytest.LogCaptureFixture) -> None:
    steps: list[Step] = []
    with caplog.at_level(logging.INFO), pytest.raises(ValueError, match="no"), step("x", steps):
        raise ValueError("no")
    assert steps[0].seconds is not None
    assert "x stopped after" in caplog.text


def test_the_log_file_is_in_utc_with_warnings_on_one_line(tmp_path: Path) -> None:
    previous = os.environ.get("TZ")
    configure_logging(tmp_path / "folder" / "run.log")
    logging.getLogger("py.warnings").warning("%s", "file:1: UserWarning: two\n  lines\n")
    logging.getLogger("spikeinterface_cloud.test").info("a line")
    logging.captureWarnings(False)
    text = (tmp_path / "folder" / "run.log").read_text()
    assert len(text.splitlines()) == 2
    assert "Z INFO " in text
    assert os.environ.get("TZ") == previous


def test_no_log_holds_a_signed_url(tmp_path: Path) -> None:
    configure_logging(tmp_path / "run.log")
    url = "https://bucket/x.nwb?X-Amz-Date=1&X-Amz-Signature=SECRET"
    try:
        raise OSError(f"cannot read {url}")
    except OSError:
        logging.getLogger("spikeinterface_cloud.test").exception("failed at %s", url)
    logging.captureWarnings(False)
    text = (tmp_path / "run.log").read_text()
    assert "OSError: cannot read https://bucket/x.nwb?***" in text
    assert "SECRET" not in text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**4, "5.0 TiB")],
)
def test_bytes_for_people(size_bytes: int, text: str) -> None:
    assert format_bytes(size_bytes) == text
