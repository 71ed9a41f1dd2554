"""One try of one sorter: its process from start to end, and what it leaves behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import spikeinterface as si

from spikeinterface_cloud.config.locations import mask_signatures
from spikeinterface_cloud.results.layout import SORTER_LOG
from spikeinterface_cloud.runtime.disk import disk_errors, room_for_results
from spikeinterface_cloud.runtime.forks import not_inherited, without_forks
from spikeinterface_cloud.runtime.heartbeat import activity
from spikeinterface_cloud.sorting.ahead import ended_early
from spikeinterface_cloud.sorting.worker import SorterRequest, SorterUsage

#: what the names of secrets look like, all of AWS's included
SECRET_NAME = re.compile(r"^AWS_|^DANDI_|KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL", re.IGNORECASE)

#: a sorter's output, in the folder of its logs
OUTPUT_LOG = "output.log"

#: searched for the last line of a sorter's output
OUTPUT_TAIL_BYTES = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessResult:
    """How the process of a sorter ended."""

    #: negative: the number of the signal that killed it
    exit_status: int
    #: wall-clock
    seconds: float
    #: None where it was killed
    usage: SorterUsage | None
    #: its traceback, or its output; empty if it did not fail, or was killed
    trace: str

    @property
    def last_line(self) -> str:
        """Return the last line of the traceback."""
        lines = [line.strip() for line in self.trace.splitlines()]
        return next(filter(None, reversed(lines)), "no message")


def run_in_subprocess(
    recording: si.BaseRecording, request: SorterRequest, logs: Path
) -> ProcessResult:
    """Run the sorter in its own process, and copy its output to the folder `logs`."""
    folder = Path(request.folder)
    with disk_errors(folder):
        request_file = _write_request(recording, request)
    started = time.monotonic()
    with room_for_results(logs):
        logs.mkdir(parents=True, exist_ok=True)
        exit_status = _watch(
            # -P: what lies in the working folder is not imported in place of a library
            [sys.executable, "-P", "-m", "spikeinterface_cloud.sorting.worker", str(request_file)],
            request.sorter,
            logs / OUTPUT_LOG,
            sorter_environment(os.environ, request.parameters),
        )
        _keep_logs(folder, logs)
    usage = _content(Path(request.usage_file))
    return ProcessResult(
        exit_status=exit_status,
        seconds=time.monotonic() - started,
        usage=SorterUsage(**usage) if usage else None,
        trace=_trace(folder, logs) if exit_status > 0 else "",
    )


def _write_request(recording: si.BaseRecording, request: SorterRequest) -> Path:
    folder = Path(request.folder).parent
    folder.mkdir(parents=True, exist_ok=True)
    Path(request.usage_file).unlink(missing_ok=True)
    recording.dump_to_json(request.recording_file)
    request_file = folder / "request.json"
    request_file.write_text(json.dumps(asdict(request)))
    return request_file


def _watch(
    command: list[str], sorter: str, output_log: Path, environment: Mapping[str, str]
) -> int:
    with (
        output_log.open("wb") as output,
        _own_process_group(command, output.fileno(), environment) as process,
        activity(sorter, detail=partial(last_output_line, output_log)),
    ):
        return process.wait()


@contextmanager
def _own_process_group(
    command: list[str], output: int, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command, and kill it with all its children when this block is left."""
    with ExitStack() as stack:
        with without_forks():
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # closes when this process ends, see `exit_with_parent`
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )
            stack.callback(_end, process)
            assert process.stdin is not None
            stack.enter_context(not_inherited(process.stdin.fileno()))
        stack.enter_context(ended_early(partial(os.killpg, process.pid, signal.SIGKILL)))
        yield process


def _end(process: subprocess.Popen[bytes]) -> None:
    # its workers too, which outlive one that the kernel has killed for its memory
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def sorter_environment(environ: Mapping[str, str], parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a sorter's process: none that is a secret, and this package's path.

    A sorter that is to run on the CPU sees no GPU: Kilosort4 asks torch for the memory of its
    device wherever there is one, which is an error for the CPU.

    >>> sorter_environment({"DANDI_API_KEY": "abc", "HOME": "/home/me"}, {})["HOME"]
    '/home/me'
    >>> sorter_environment({}, {"torch_device": "cpu"})["CUDA_VISIBLE_DEVICES"]
    ''
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not SECRET_NAME.search(name) and mask_signatures(value) == value
    }
    folders = [str(Path(__file__).parents[2]), environ.get("PYTHONPATH")]
    if parameters.get("torch_device") == "cpu":
        kept["CUDA_VISIBLE_DEVICES"] = ""
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, folders))}


def last_output_line(output_log: Path) -> str | None:
    """Return the last line, or the last state of a progress bar, that a program has written."""
    with output_log.open("rb") as output:
        output.seek(max(0, output.seek(0, os.SEEK_END) - OUTPUT_TAIL_BYTES))
        tail = output.read().decode(errors="replace")
    lines = [" ".join(line.split()) for line in tail.replace("\r", "\n").splitlines()]
    return next(filter(None, reversed(lines)), None)


def _keep_logs(folder: Path, logs: Path) -> None:
    log_file = folder / "spikeinterface_log.json"
    if log_file.is_file():
        shutil.copyfile(log_file, logs / SORTER_LOG)
    for file in sorted(folder.rglob("*.log")):
        shutil.copyfile(file, logs / file.name)


def _trace(folder: Path, logs: Path) -> str:
    """Return the sorter's own traceback, or else its output."""
    trace = (_content(folder / "spikeinterface_log.json") or {}).get("error_trace")
    return "\n".join(trace) if trace else (logs / OUTPUT_LOG).read_text(errors="replace")


def _content(file: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file, or None if it is missing or cut short."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
