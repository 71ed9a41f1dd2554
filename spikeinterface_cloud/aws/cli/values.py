"""The values of the options of `submit` and `estimate`; the defaults are for callers in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Which recordings to list: one of `dandiset`, `source_prefix` and `csv`, or none."""

    dandiset: str | None = None
    glob: str | None = None
    source_prefix: str | None = None
    match: str | None = None
    csv: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """How a job is to run, besides its settings; what is None is left to the job definition."""

    #: names or ARNs; None only if the stack gives them
    job_queue: str | None = None
    job_definition: str | None = None
    #: the beginning of its name; by default from the settings
    job_name: str | None = None
    gpus: int | None = None
    vcpus: int | None = None
    #: in MiB
    memory: int | None = None
    #: of each attempt, in seconds
    timeout: int | None = None
    attempts: int = 3
    tag: tuple[tuple[str, str], ...] = ()
    share_identifier: str | None = None
    priority: int | None = None
    #: identifiers of jobs that have to succeed first
    depends_on: tuple[str, ...] = ()
    #: instead of the job definition's
    command: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SubmitOptions(ListOptions, JobOptions):
    """All options of `submit`, by parameter."""

    #: several recordings are joined
    source: tuple[str, ...] = ()
    session_url: str | None = None
    streams: str | None = None
    clock: str | None = None
    target: str | None = None
    data_type: str | None = None
    read_recording_kwargs: str | None = None
    sorters: str | None = None
    sorters_kwargs: str | None = None
    preprocessing: str | None = None
    exports: str | None = None
    overwrite: bool = False
    env: tuple[tuple[str, str], ...] = ()
    #: the variables that only `.env` or `--env-file` gave; the environment has them by now
    env_file: Mapping[str, str] = field(default_factory=dict)

    skip_completed: bool = False
    yes: bool = False
    dry_run: bool = False
    skip_existing: bool = False
    follow: bool = False
    as_json: bool = False
    #: in seconds
    poll_interval: float = 10.0

    stack: str | None = None
    compute: str = "spot"


@dataclass(frozen=True, kw_only=True)
class EstimateOptions(ListOptions):
    """All options of `estimate`, by parameter."""

    #: several recordings are joined
    source: tuple[str, ...] = ()
    #: in bytes
    size: float | None = None
    #: in seconds
    duration: float | None = None
    channels: int = 384
    #: in Hz
    sampling_rate: float = 30_000.0
    sorters: str | None = None
    instance_type: tuple[str, ...] = ()
    scratch: Literal["nvme", "ebs"] = "nvme"
    #: instance type, or nothing for the only one, and USD per hour
    price: tuple[tuple[str, float], ...] = ()
    prices: str | None = None
    region: str | None = None
