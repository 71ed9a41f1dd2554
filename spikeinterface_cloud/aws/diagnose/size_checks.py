"""Checks whether a job fits on the instances of its queue, and requests the GPU that it needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spikeinterface_cloud.aws.diagnose.finding import Finding, Reply, failed, ok, warning
from spikeinterface_cloud.aws.diagnose.instance_types import InstanceType, names_of
from spikeinterface_cloud.aws.diagnose.request import JobRequirements
from spikeinterface_cloud.runtime.logging import counted


def check_sizes(request: JobRequirements, types: Sequence[InstanceType]) -> Iterator[Finding]:
    """Check whether any instance type of a compute environment has what the job requests."""
    if not types:
        yield failed(
            "EC2 has none of its instance types in this region",
            "name types that the region offers, like g4dn.2xlarge, in the compute environment",
        )
        return
    fitting = [instance for instance in types if instance.fits(request)]
    safe = [instance for instance in fitting if request.memory_mib <= instance.safe_mib]
    if safe:
        yield ok(f"{describe(request)} fits on {names_of(safe)}")
    elif fitting:
        yield warning(
            f"{describe(request)} may not fit on {names_of(fitting)}: AWS keeps 3 to 8 % of "
            "an instance's memory for itself",
            f"submit with --memory {max(instance.safe_mib for instance in fitting)}",
        )
    else:
        yield _why_none(request, types)


def check_gpu_request(request: JobRequirements) -> Iterator[Finding]:
    """Check whether a job whose sorters need a GPU requests one."""
    if request.gpu_sorters and not request.gpus:
        yield failed(
            f"{', '.join(request.gpu_sorters)} needs a GPU, but the job requests none: Batch "
            "starts it on any instance, and hides a GPU that it has",
            "submit with --gpus 1, or add the requirement GPU 1 to the job definition",
        )
    elif request.gpus:
        yield ok(f"the job requests {counted(request.gpus, 'GPU')}")
    elif request.sorters_are_known:
        yield ok("none of its sorters needs one, and the job requests none")
    else:
        yield warning(
            "the job requests none, and its variables do not say which sorters it runs",
            "if kilosort4 is among them, submit with --gpus 1",
        )


def check_gpu_system(request: JobRequirements | None, environment: Reply) -> Iterator[Finding]:
    """Check whether the AMI of a compute environment has a GPU driver."""
    resources = environment.get("computeResources", {})
    configurations = resources.get("ec2Configuration", ())
    image_types = [str(entry.get("imageType", "")) for entry in configurations]
    own = resources.get("imageId") or next(
        (entry["imageIdOverride"] for entry in configurations if entry.get("imageIdOverride")), None
    )
    if own:
        yield warning(
            f"the instances start from your own AMI, {own}",
            "it needs the ECS agent and, for GPU jobs, NVIDIA's driver; Batch's default AMI has "
            "both",
        )
    elif request is not None and request.gpus and image_types and not _any_nvidia(image_types):
        yield failed(
            f"the instances start from {', '.join(image_types)}, which has no GPU driver",
            "set the image type ECS_AL2023_NVIDIA, or remove the setting",
        )
    elif any(name in ("ECS_AL2", "ECS_AL2_NVIDIA") for name in image_types):
        yield warning(
            f"{', '.join(image_types)} is Amazon Linux 2, which AWS retired on 30 June 2026",
            "set the image type ECS_AL2023_NVIDIA for GPUs, ECS_AL2023 for other instances",
        )
    else:
        yield ok(f"{', '.join(image_types) or 'that of Batch'}")


def describe(request: JobRequirements) -> str:
    """Return the resources that a job requests, in words."""
    gpus = f", {counted(request.gpus, 'GPU')}" if request.gpus else ""
    return f"{request.vcpus:g} vCPUs, {request.memory_mib:,} MiB{gpus}"


def _why_none(request: JobRequirements, types: Sequence[InstanceType]) -> Finding:
    with_gpus = [instance for instance in types if instance.gpus >= request.gpus]
    if not with_gpus:
        most = max(instance.gpus for instance in types)
        has = f"has more than {most}" if most else "has one"
        return failed(
            f"the job requests {counted(request.gpus, 'GPU')}, but none of {names_of(types)} {has}",
            "submit to a queue with GPU instances, or add types like g4dn.2xlarge or g5.2xlarge "
            "to the compute environment",
        )
    large_enough = [instance for instance in with_gpus if instance.vcpus >= request.vcpus]
    if not large_enough:
        largest = max(with_gpus, key=lambda instance: instance.vcpus)
        return failed(
            f"the job requests {request.vcpus:g} vCPUs, but the largest instance, {largest.name}, "
            f"has {largest.vcpus}",
            f"submit with --vcpus {largest.vcpus}, or add larger types to the compute environment",
        )
    return _too_little_memory(request, max(large_enough, key=lambda instance: instance.memory_mib))


def _too_little_memory(request: JobRequirements, instance: InstanceType) -> Finding:
    remedy = (
        f"submit with --memory {instance.safe_mib}, or add types with more memory to the compute "
        "environment"
    )
    if request.memory_mib > instance.memory_mib:
        return failed(
            f"the job requests {request.memory_mib:,} MiB, but the largest suitable instance, "
            f"{instance.name}, has {instance.memory_mib:,}",
            remedy,
        )
    left = (
        f"a running one has registered {instance.registered_mib:,} for jobs"
        if instance.registered_mib
        else f"jobs can rely on {instance.safe_mib:,}, because AWS keeps some"
    )
    return failed(
        f"the job requests {request.memory_mib:,} MiB, all or nearly all of the memory of "
        f"{instance.name}: of its {instance.memory_mib:,} MiB {left}",
        remedy,
    )


def _any_nvidia(image_types: Sequence[str]) -> bool:
    return any(name.endswith("NVIDIA") for name in image_types)
