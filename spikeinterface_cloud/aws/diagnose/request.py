"""The resources, roles and image that a job requires, from DescribeJobs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikeinterface_cloud.aws.batch.jobs import DEFAULT_LOG_GROUP, JobState
from spikeinterface_cloud.config.catalog.snapshot import needs_gpu


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRequirements:
    """The requirements of a job."""

    vcpus: float
    memory_mib: int
    gpus: int
    image: str
    job_role: str | None
    execution_role: str | None
    #: whether its environment has secrets, which the execution role reads
    has_secrets: bool
    #: that must exist before the job starts; None if there is none
    log_group: str | None
    #: its sorters that need a GPU
    gpu_sorters: tuple[str, ...]
    sorters_are_known: bool


def requirements_of(job: JobState) -> JobRequirements:
    """Return the requirements of a job; zero where AWS does not say."""
    container = job.reply.get("container", {})
    wanted = {
        entry["type"]: float(entry["value"]) for entry in container.get("resourceRequirements", ())
    }
    return JobRequirements(
        vcpus=wanted.get("VCPU", float(container.get("vcpus", 0))),
        memory_mib=int(wanted.get("MEMORY", container.get("memory", 0))),
        gpus=int(wanted.get("GPU", 0)),
        image=str(container.get("image", "")),
        job_role=container.get("jobRoleArn"),
        execution_role=container.get("executionRoleArn"),
        has_secrets=bool(container.get("secrets")),
        log_group=_log_group(container.get("logConfiguration", {})),
        gpu_sorters=gpu_sorters(job.environment),
        sorters_are_known=bool(job.environment.get("SORTERS", "").strip()),
    )


def gpu_sorters(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the sorters that need a GPU with their parameters.

    >>> gpu_sorters({"SORTERS": "simple, kilosort4"})
    ('kilosort4',)
    >>> gpu_sorters({"SORTERS": '["kilosort4"]',
    ...              "SORTERS_KWARGS": '{"kilosort4": {"torch_device": "cpu"}}'})
    ()
    """
    listed = environment.get("SORTERS", "").strip()
    names = _parsed(listed) if listed.startswith("[") else listed.split(",")
    given = _parsed(environment.get("SORTERS_KWARGS", "") or "{}")
    return tuple(
        name
        for name in (str(name).strip() for name in names or ())
        if needs_gpu(name, _parameters(given, name))
    )


def _log_group(configuration: Mapping[str, Any]) -> str | None:
    options = configuration.get("options", {})
    group: str | None = options.get("awslogs-group")
    if configuration.get("logDriver", "awslogs") != "awslogs" or group is None:
        return None
    if options.get("awslogs-create-group") == "true" or group.startswith(DEFAULT_LOG_GROUP):
        return None  # created with the container, or by Batch itself
    return group


def _parameters(given: Any, sorter: str) -> dict[str, Any]:
    parameters = given.get(sorter) if isinstance(given, dict) else None
    return parameters if isinstance(parameters, dict) else {}


def _parsed(text: str) -> Any:
    """Return the parsed JSON, or None: the container refuses malformed JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None
