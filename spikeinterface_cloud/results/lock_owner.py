"""The owner of a target's lock: which process, of which job, on which host."""

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from spikeinterface_cloud.runtime.host import boot_id

#: what a lock may say of its owner; anybody who may write to the target can write one
_Text = Annotated[str, Field(max_length=300)]


@dataclass(frozen=True, kw_only=True, slots=True)
class LockOwner:
    """The process that has locked a target."""

    #: of this lock alone
    token: _Text
    #: the Batch job's identifier, and which attempt it is; None elsewhere
    batch_job: _Text | None
    attempt: _Text | None
    host: _Text
    #: the boot of the host and the PID namespace that `process` belongs to
    processes: _Text
    process: Annotated[int, Field(strict=True, gt=0, lt=2**31)]
    #: its start, in clock ticks since boot, which no change of the clock affects
    started: Annotated[int, Field(strict=True, ge=0, lt=2**63)]

    def __str__(self) -> str:
        if self.batch_job is None:
            return f"process {self.process} on {self.host}"
        return f"attempt {self.attempt} of Batch job {self.batch_job}"

    def may_be_replaced_by(self, other: "LockOwner") -> bool:
        """Return whether the other one may take over the lock at once."""
        if self.batch_job is not None:
            return self.batch_job == other.batch_job
        return self.processes == other.processes and _start_ticks(self.process) != self.started


def this_job(environ: Mapping[str, str]) -> LockOwner:
    """Return the owner that this process is."""
    return LockOwner(
        token=str(uuid.uuid4()),
        batch_job=environ.get("AWS_BATCH_JOB_ID") or None,
        attempt=environ.get("AWS_BATCH_JOB_ATTEMPT") or None,
        host=socket.gethostname(),
        processes=f"{boot_id()} {Path('/proc/self/ns/pid').readlink()}",
        process=os.getpid(),
        started=_start_ticks(os.getpid()) or 0,
    )


def _start_ticks(process: int) -> int | None:
    """Return the start of a process, by proc_pid_stat(5); None if there is no such process."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the name, in parentheses, may have spaces; the start is field 22 and the state, after it, 3
    return int(stat.rpartition(")")[2].split()[22 - 3])
