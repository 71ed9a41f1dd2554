"""The schema of `run.json`: what a program that reads it can rely on.

python -m spikeinterface_cloud.results.run_schema    print it as JSON Schema

`SCHEMA_VERSION` goes up with every change; a field that is there keeps its name and its meaning.
"""

import json
import sys
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 7


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ManifestEntry(_Entry):
    """Which line of a list of recordings the job was."""

    url: str = Field(description="the list")
    index: int | None = Field(description="the line, from 0; null: not in an array job")


class SourceEntry(_Entry):
    """Where the recording was, and what identifies its bytes."""

    location: str = Field(description="`s3://...`, `dandi://...`, a folder, or `simulated`")
    n_files: int | None = Field(default=None, description="number of files that were needed")
    size_bytes: int | None = Field(default=None, description="size of all of them")
    etag: str | None = Field(default=None, description="ETag of the file, if it is only one")
    sha256_of_listing: str | None = Field(
        default=None, description="SHA-256 of a list with a line for each file: name, size and ETag"
    )
    instance: str | None = Field(default=None, description="the DANDI archive")
    dandiset: str | None = Field(default=None, description="its identifier, `000006`")
    version: str | None = Field(default=None, description="`draft`, or that of a publication")
    path: str | None = Field(default=None, description="path of the asset in the dandiset")
    asset: str | None = Field(default=None, description="identifier of the asset")
    dandi_etag: str | None = Field(default=None, description="the archive's digest of the asset")
    dandi_zarr_checksum: str | None = Field(
        default=None, description="the archive's digest of an asset that is a Zarr"
    )


class JoinedSourceEntry(SourceEntry):
    """The source of a job: one recording, or several that were joined."""

    joined: list[SourceEntry] = Field(
        default=[], description="each of several recordings that were joined, in order; else empty"
    )


class JoinedEntry(_Entry):
    """One of several recordings that were joined and sorted as one."""

    number: int = Field(description="from 1, in the order of the source")
    location: str = Field(description="where it was")
    first_segment: int = Field(description="its first segment among those of all, from 0")
    n_segments: int = Field(description="number of its segments")
    duration_s: float = Field(description="duration of its segments together")
    start_time_s: float = Field(description="time of its first sample, on its own clock")
    started: datetime | None = Field(
        description="when its first sample was taken, by its metadata; null: unknown"
    )
    pause_s: float | None = Field(
        description="time since the recording before it ended; null: unknown, or the first"
    )
    drift_um: float | None = Field(
        description="how far spikes moved along the probe since the recording before it; null: "
        "unknown, or the first"
    )


class RecordingEntry(_Entry):
    """The recording in figures, before preprocessing."""

    n_channels: int = Field(description="number of channels that are sorted, bad ones included")
    sampling_frequency_hz: float = Field(description="sampling frequency")
    duration_s: float = Field(description="duration of all segments together")
    n_segments: int = Field(description="number of parts with a gap between them")
    segment_durations_s: list[float] = Field(description="duration of each segment")
    dtype: str = Field(description="numpy's name of the type of the samples")
    size_bytes: int = Field(description="size of all traces in memory")
    gain_to_uv: tuple[float, float] | None = Field(
        description="gain, lowest and highest of all channels; null: unknown"
    )
    start_time_s: float = Field(
        description="time of the first sample, on the recording's own clock"
    )
    stream_name: str | None = Field(
        description="stream or electrical series, if there was one to choose"
    )
    has_probe: bool = Field(description="whether the positions of the channels are known")
    probes: list[str] = Field(description="maker and model or name of each probe")
    n_shanks: int = Field(description="number of shanks of all probes together")
    groups: dict[str, int] = Field(description="number of channels in each shank or group")
    notes: list[str] = Field(
        description="what was corrected and what you should know, a sentence each"
    )
    joined: list[JoinedEntry] = Field(
        default=[], description="each of several recordings that were joined; else empty"
    )


class ArchiveEntry(_Entry):
    """The recording as it was read, compressed without loss; compared with it sample by sample."""

    path: str = Field(description="path in the results")
    codec: str = Field(description="the compression of the samples")
    size_bytes: int = Field(ge=0, description="size of all its files")
    uncompressed_bytes: int = Field(ge=0, description="size of all samples in memory")
    ratio: float = Field(ge=0, description="how many times smaller the samples are")
    n_files: int = Field(ge=0, description="number of its files")
    omitted_properties: list[str] = Field(
        description="properties of channels that Zarr cannot hold, as they are Python objects"
    )


class ChannelEntry(_Entry):
    """How one channel was judged before it was kept or removed."""

    label: Literal["good", "dead", "noise", "out"] = Field(
        description="`out`: outside the brain; all but `good` are removed"
    )
    method: str = Field(description="what it was judged by")
    value: float = Field(
        description="noise level: multiples of a quiet channel's; noise beside the common signal: "
        "multiples of the median channel's; coherence: fraction of the excerpts with this"
        " label"
    )


class PreprocessingEntry(_Entry):
    """What was done to the recording before it was sorted."""

    steps: list[dict[str, Any]] = Field(
        description="in the form of SpikeInterface's `PreprocessingPipeline`: `name`, `params`"
    )
    bad_channels: dict[str, str] = Field(
        description="the channels that were removed, each with its label: `dead`, `noise`, ..."
    )
    channel_checks: dict[str, ChannelEntry] = Field(
        description="how each channel was judged; empty if `PREPROCESSING` is not `default`"
    )
    notes: list[str] = Field(description="what you should know, a sentence each")


class TryEntry(_Entry):
    """One try of a sorter that ran out of memory and was run again with smaller settings."""

    parameters: dict[str, Any] = Field(description="the sorter's parameters, besides its defaults")
    by_group: bool = Field(description="whether each shank or group was sorted by itself")
    seconds: float = Field(description="wall-clock time of this try")
    reason: str | None = Field(description="why it failed; null: it did not")
    peak_memory_bytes: int | None = Field(
        description="peak memory of its process; null: it was killed"
    )
    peak_gpu_memory_bytes: int | None = Field(
        description="peak memory of the GPU; null: it did not use torch on one"
    )


class GroupEntry(_Entry):
    """How one group of channels ended that was sorted by itself."""

    group: int | str = Field(description="value of the property `split_by`")
    outcome: Literal["sorted", "no_units", "failed"] = Field(description="how it ended")
    n_channels: int = Field(description="number of its channels that were sorted")
    n_units: int = Field(description="number of its units in the results")
    reason: str | None = Field(description="why it failed or found nothing; null: it sorted")
    seconds: float = Field(description="wall-clock time of the sorter alone")
    parameters: dict[str, Any] = Field(description="the sorter's parameters, besides its defaults")


class SorterEntry(_Entry):
    """How one sorter ended, and what it needed."""

    sorter: str = Field(description="SpikeInterface's name of the sorter")
    version: str | None = Field(description="version of the sorter; null: unknown")
    outcome: Literal["sorted", "no_units", "failed", "resumed"] = Field(
        description="`resumed`: the result of an earlier attempt was used again"
    )
    reason: str | None = Field(
        description="why it failed, as a whole or for some `groups`, or found nothing; null: it "
        "sorted"
    )
    n_units: int = Field(description="number of units in its results")
    labels: dict[str, int] = Field(
        description="how many of them are `good`, `mua` and `noise`; empty: none was analyzed"
    )
    n_redundant_units: int = Field(
        description="number of units left out because another has the same spikes; not in `n_units`"
    )
    n_removed_spikes: int = Field(
        description="number of spikes left out: outside the recording, or found twice"
    )
    parameters: dict[str, Any] = Field(description="the sorter's parameters, besides its defaults")
    seconds: float = Field(description="wall-clock time of the sorter alone")
    peak_memory_bytes: int | None = Field(description="peak memory of its process")
    peak_gpu_memory_bytes: int | None = Field(
        description="peak memory of the GPU; null: it did not use torch on one"
    )
    tries: list[TryEntry] = Field(
        description="every try, the last one included, if it ran out of memory; else empty"
    )
    split_by: str | None = Field(
        default=None,
        description="property of the channels whose groups were sorted by themselves; the units "
        "have it, too; null: one sort",
    )
    groups: list[GroupEntry] = Field(default=[], description="each of these groups; else empty")


class ExportEntry(_Entry):
    """One export of one sorter's units."""

    sorter: str = Field(description="the sorter whose units they are")
    export: Literal["nwb", "phy", "dandi"] = Field(
        description="`dandi`: the upload of the NWB file"
    )
    path: str = Field(description="path in the results; of an upload: in the dandiset")
    seconds: float = Field(description="wall-clock time")
    size_bytes: int = Field(description="size of what was written or uploaded")
    error: str | None = Field(description="why it failed; null: it did not")


class AccuracyEntry(_Entry):
    """How well a sorter found the units of a recording whose true spikes are known."""

    mean_accuracy: float = Field(
        ge=0, le=1, description="mean over all true units; 0 for a unit that was missed"
    )
    n_true_units: int = Field(description="number of true units")
    n_found: int = Field(description="number of true units with an accuracy of 0.8 or more")


class StepEntry(_Entry):
    """How long one step of the job took."""

    name: str = Field(description="as in the log: `fetch`, `preprocess`, `sort with ...`, ...")
    seconds: float | None = Field(description="wall-clock time; null: it had not ended")
    size_bytes: int | None = Field(
        description="size of what was moved or written; null: nothing was"
    )


class GpuEntry(_Entry):
    """The first CUDA device."""

    name: str = Field(description="name that its driver gives")
    memory_bytes: int = Field(description="total memory")


class MachineEntry(_Entry):
    """What the job could use of its host, within the limits of its container."""

    cpus: int = Field(description="number of CPUs")
    memory_bytes: int = Field(description="memory")
    shared_memory_bytes: int = Field(description="size of `/dev/shm`")
    gpu: GpuEntry | None = Field(description="null: there is none, or none that torch can use")


class InstanceEntry(_Entry):
    """The EC2 instance that the job ran on."""

    instance_type: str = Field(description="like `g4dn.2xlarge`")
    region: str = Field(description="like `us-east-1`")
    availability_zone: str = Field(description="like `us-east-1a`")
    life_cycle: str = Field(description="`on-demand`, `spot`, `scheduled` or `capacity-block`")
    identifier: str = Field(description="like `i-0abc...`")


class CostEntry(_Entry):
    """The price of the instance for the time of the job, as if the job had it alone.

    It does not include the start of the instance, the pull of the image, disks, requests and
    transfer.
    """

    usd: float | None = Field(description="null: unknown, for the given `reason`")
    usd_at_most: float | None = Field(
        description="upper limit: for a Spot instance, its on-demand price"
    )
    usd_per_hour: float | None = Field(description="the on-demand price of the instance")
    seconds: float = Field(description="from the start of the job to its end")
    reason: str | None = Field(description="why `usd` is unknown")
    prices_as_of: date = Field(description="the date of the price table")
    prices_source: str = Field(description="source of the price table")


class RunJson(_Entry):
    """One job: its settings, how it ended, and what it needed."""

    schema_version: Literal[7] = Field(description="version of this schema")
    status: Literal["succeeded", "failed", "interrupted"] = Field(description="how the job ended")
    exit_code: int | None = Field(description="of the job: see the reference of exit codes")
    error: str | None = Field(description="why the job did not succeed, on one line")
    run_identifier: str | None = Field(description="`RUN_IDENTIFIER`; null: not given")
    manifest: ManifestEntry | None = Field(
        description="its line in a list of recordings; null: not from a list"
    )
    fingerprint: str | None = Field(
        description="SHA-256 of all that decides the results: runs with the same one are the same "
        "job; null: it ended before its source was found"
    )
    started: datetime = Field(description="in UTC")
    ended: datetime | None = Field(description="in UTC")
    settings: dict[str, str] = Field(
        description="the variables that were given; secrets and signatures are masked"
    )
    versions: dict[str, str] = Field(
        description="versions of this program, Python, and the packages that decide the results"
    )
    source: JoinedSourceEntry | None = Field(description="null: the job ended before it was found")
    recording: RecordingEntry | None = Field(description="null: the job ended before it was open")
    archive: ArchiveEntry | None = Field(description="null: `ARCHIVE` did not ask for one")
    preprocessing: PreprocessingEntry | None = Field(description="null: the job ended before it")
    sorters: list[SorterEntry] = Field(description="the sorters that have run, in order")
    exports: list[ExportEntry] = Field(description="what `EXPORTS` and `TARGET_DANDISET` asked for")
    n_consensus_units: int | None = Field(
        description="number of units that two or more sorters found; null: fewer than two "
        "sorters had any"
    )
    ground_truth: dict[str, AccuracyEntry] = Field(
        description="accuracy of each sorter, if the true spikes are known"
    )
    steps: list[StepEntry] = Field(
        description="in the order in which they started; a sorter runs while the units of the one "
        "before are analyzed, so that their sum may exceed the time of the job"
    )
    machine: MachineEntry | None = Field(description="what the job could use")
    instance: InstanceEntry | None = Field(description="null: not on EC2, or unknown")
    peak_memory_bytes: int | None = Field(
        description="peak memory of the program itself, without sorters and workers"
    )
    peak_gpu_memory_bytes: int | None = Field(
        description="highest peak memory of the GPU of all sorters"
    )
    cost: CostEntry = Field(description="in USD")


def json_schema() -> str:
    """Return the schema as JSON Schema, as it is in the repository."""
    return json.dumps(RunJson.model_json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(json_schema())
