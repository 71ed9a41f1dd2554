"""Whether a job fits on a machine that its queue may start, and asks for the GPU that it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spikeinterface_cloud.aws.diagnose.finding import Finding, failed, ok, warning
from spikeinterface_cloud.aws.diagnose.instance_types import MachineType, names_of
from spikeinterface_cloud.aws.diagnose.request import Request


def judge_sizes(request: Request, types: Sequence[MachineType]) -> Iterator[Finding]:
    """Whether any machine of a compute environment has what the job asks for."""
    if not types:
        yield failed(
            "EC2 has none of its instance types in this region",
            "name types that the region has, like g4dn.2xlarge, in the compute environment",
        )
        return
    fitting = [machine for machine in types if machine.fits(request)]
    safe = [machine for machine in fitting if request.memory_mib <= machine.safe_mib]
    if safe:
        yield ok(f"{asked(request)} fits on {names_of(safe)}")
    elif fitting:
        yield warning(
            f"{asked(request)} may not fit on {names_of(fitting)}: AWS keeps 3 to 8 % of a "
            "machine's memory for itself",
            f"submit with --memory {max(machine.safe_mib for machine in fitting)}",
        )
    else:
        yield _why_none(request, types)


def judge_gpu_request(request: Request) -> Iterator[Finding]:
    """Whether a job whose sorters need a GPU asks for one."""
    if request.gpu_sorters and not request.gpus:
        yield failed(
            f"{', '.join(request.gpu_sorters)} needs a GPU and the job asks for none: Batch puts "
            "it on any machine, and hides the GPU of one that has it",
            "submit with --gpus 1, or write the requirement GPU 1 into the job definition",
        )
    elif request.gpus:
        yield ok(f"the job asks for {_gpus(request.gpus)}")
    elif request.sorters_are_known:
        yield ok("none of its sorters needs one, and the job asks for none")
    else:
        yield warning(
            "the job asks for none, and which sorters it runs cannot be told from its variables",
            "if kilosort4 is among them, submit with --gpus 1",
        )


def judge_gpu_system(request: Request | None, environment: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether the system that a compute environment starts has a driver for its GPUs."""
    resources = environment.get("computeResources", {})
    configurations = resources.get("ec2Configuration", ())
    image_types = [str(entry.get("imageType", "")) for entry in configurations]
    own = resources.get("imageId") or next(
        (entry["imageIdOverride"] for entry in configurations if entry.get("imageIdOverride")), None
    )
    if own:
        yield warning(
            f"the machines start from an image of your own, {own}",
            "it needs the agent of ECS and, for GPU jobs, NVIDIA's driver; without an image of "
            "your own Batch takes one that has both",
        )
    elif request is not None and request.gpus and image_types and not _any_nvidia(image_types):
        yield failed(
            f"the machines start as {', '.join(image_types)}, without a driver for GPUs",
            "set the image type ECS_AL2023_NVIDIA, or leave it out",
        )
    elif any(name in ("ECS_AL2", "ECS_AL2_NVIDIA") for name in image_types):
        yield warning(
            f"{', '.join(image_types)} is an Amazon Linux 2, which AWS has retired on 30 June 2026",
            "set the image type ECS_AL2023_NVIDIA for GPUs, ECS_AL2023 for other machines",
        )
    else:
        yield ok(f"{', '.join(image_types) or 'that of Batch'}")


def asked(request: Request) -> str:
    """What a job asks for, in words."""
    gpus = f", {_gpus(request.gpus)}" if request.gpus else ""
    return f"{request.vcpus:g} vCPUs, {request.memory_mib:,} MiB{gpus}"


def _why_none(request: Request, types: Sequence[MachineType]) -> Finding:
    with_gpus = [machine for machine in types if machine.gpus >= request.gpus]
    if not with_gpus:
        most = max(machine.gpus for machine in types)
        has = f"has more than {most}" if most else "has one"
        return failed(
            f"the job asks for {_gpus(request.gpus)}, and none of {names_of(types)} {has}",
            "submit to a queue of machines with GPUs, or add types like g4dn.2xlarge or g5.2xlarge "
            "to the compute environment",
        )
    large_enough = [machine for machine in with_gpus if machine.vcpus >= request.vcpus]
    if not large_enough:
        largest = max(with_gpus, key=lambda machine: machine.vcpus)
        return failed(
            f"the job asks for {request.vcpus:g} vCPUs, and the largest machine, {largest.name}, "
            f"has {largest.vcpus}",
            f"submit with --vcpus {largest.vcpus}, or add larger types to the compute environment",
        )
    return _too_little_memory(request, max(large_enough, key=lambda machine: machine.memory_mib))


def _too_little_memory(request: Request, machine: MachineType) -> Finding:
    remedy = (
        f"submit with --memory {machine.safe_mib}, or add types with more memory to the compute "
        "environment"
    )
    if request.memory_mib > machine.memory_mib:
        return failed(
            f"the job asks for {request.memory_mib:,} MiB, and the machine with the most that it "
            f"could have, {machine.name}, has {machine.memory_mib:,}",
            remedy,
        )
    left = (
        f"one that runs has registered {machine.registered_mib:,} for jobs"
        if machine.registered_mib
        else f"jobs can count on {machine.safe_mib:,}, as AWS keeps some"
    )
    return failed(
        f"the job asks for {request.memory_mib:,} MiB, all or nearly all of the memory of "
        f"{machine.name}: of its {machine.memory_mib:,} MiB {left}",
        remedy,
    )


def _any_nvidia(image_types: Sequence[str]) -> bool:
    return any(name.endswith("NVIDIA") for name in image_types)


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"
