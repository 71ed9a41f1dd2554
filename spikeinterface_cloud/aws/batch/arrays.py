"""One job for one recording, an array for up to ten thousand, and several arrays for more."""

from collections.abc import Iterator, Mapping, Sequence

from spikeinterface_cloud.aws.batch.job_hash import job_identity
from spikeinterface_cloud.aws.batch.limits import ARRAY_SIZES
from spikeinterface_cloud.aws.batch.request import JobOptions, build_request
from spikeinterface_cloud.aws.batch.submission import PreparedJob, manifest_environment, prepare_job
from spikeinterface_cloud.aws.inputs.recording_list import ListedJob
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.manifest import MANIFEST_URL, manifest_bytes, manifest_location
from spikeinterface_cloud.runtime.logging import format_bytes

#: rows of the table that are shown of a long list
SHOWN = 10


def prepare_jobs(
    jobs: Sequence[ListedJob], title: str, target: S3Location, options: JobOptions
) -> list[PreparedJob]:
    """Build the requests that submit all of these jobs; nothing is sent.

    Parameters
    ----------
    title
        what names the arrays, where the options do not
    target
        below which the lists are kept

    Raises
    ------
    LimitError
        AWS would refuse a request.
    """
    return [_prepare_array(part, title, target, options) for part in _parts(jobs)]


def _prepare_array(
    jobs: Sequence[ListedJob], title: str, target: S3Location, options: JobOptions
) -> PreparedJob:
    if len(jobs) == 1:
        return prepare_job(jobs[0].settings, options)
    lines = [job.settings.to_env() for job in jobs]
    listed = manifest_bytes(lines)
    environment = manifest_environment(
        {
            **_shared(lines),
            "RUN_IDENTIFIER": title,
            "TARGET_AWS_S3_BUCKET": target.bucket,
            "TARGET_AWS_S3_BUCKET_FOLDER": target.key,
        },
        manifest_location(target, listed),
    )
    identity = job_identity({MANIFEST_URL: environment[MANIFEST_URL]}, options.job_definition)
    return PreparedJob(
        request=build_request(environment, options, identity=identity, array_size=len(jobs)),
        identity=identity,
        target=target,
        manifest=listed,
    )


def _shared(lines: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What every line says: how to reach the list itself is among it."""
    first, *others = lines
    return {
        name: text for name, text in first.items() if all(line.get(name) == text for line in others)
    }


def _parts(jobs: Sequence[ListedJob]) -> Iterator[Sequence[ListedJob]]:
    """As few parts as an array's size allows, nearly equal, so that none is of one job."""
    n_parts = -(-len(jobs) // (ARRAY_SIZES.stop - 1))
    for part in range(n_parts):
        yield jobs[len(jobs) * part // n_parts : len(jobs) * (part + 1) // n_parts]


def overview(jobs: Sequence[ListedJob]) -> str:
    """Each job's source, its size, and its target, of the first ones; and what all come to."""
    shown = jobs[:SHOWN]
    rows = [(str(job.settings.source), _size(job.size_bytes), str(job.target)) for job in shown]
    source_width, size_width, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = [
        f"{source:<{source_width}}  {size:>{size_width}}  {target}" for source, size, target in rows
    ]
    if len(jobs) > SHOWN:
        lines.append(f"... and {len(jobs) - SHOWN:,} more")
    return "\n".join([*lines, f"{_count(len(jobs))}, {_total(jobs)}"])


def _count(number: int) -> str:
    return "1 recording" if number == 1 else f"{number:,} recordings"


def _total(jobs: Sequence[ListedJob]) -> str:
    sizes = [job.size_bytes for job in jobs if job.size_bytes is not None]
    total = format_bytes(sum(sizes))
    if len(sizes) == len(jobs):
        return f"{total} in all"
    return f"{total} in {_count(len(sizes))}, the others' size unknown" if sizes else "size unknown"


def _size(size_bytes: int | None) -> str:
    return "?" if size_bytes is None else format_bytes(size_bytes)
