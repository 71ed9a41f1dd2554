"""Every check that needs no download, before a machine's time is spent on a hopeless job.

The same checks open every job; `run_script.py --check` runs them alone and prints their table.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from spikeinterface_cloud.array_job import read_settings
from spikeinterface_cloud.config.artifact_triggers import check_triggers, trigger_lines
from spikeinterface_cloud.config.catalog.frequency_bands import is_number
from spikeinterface_cloud.config.catalog.kilosort4 import cuda_index
from spikeinterface_cloud.config.catalog.snapshot import needs_gpu
from spikeinterface_cloud.config.catalog.validation import as_steps, trigger_streams
from spikeinterface_cloud.config.locations import SimulatedRecording, mask_signatures
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.dandi.upload import find_draft
from spikeinterface_cloud.errors import CloudJobError, SettingsError, UnavailableError, printable
from spikeinterface_cloud.fingerprint import fingerprints
from spikeinterface_cloud.preprocessing.pipeline import check_pipeline
from spikeinterface_cloud.recording.formats.hdf5_samples import find_hdf5_samples
from spikeinterface_cloud.recording.formats.readers import check_reader, find_reader
from spikeinterface_cloud.recording.formats.uncompressed import Samples, find_samples
from spikeinterface_cloud.recording.simulated import check_simulation, simulated_rate_hz
from spikeinterface_cloud.recording.source import FoundSource, SourceRequest, find_source
from spikeinterface_cloud.runtime.cuda import Gpu, find_gpu
from spikeinterface_cloud.runtime.disk import ARCHIVE_FACTOR, DISK_FACTOR, WRITTEN_FACTOR, same_disk
from spikeinterface_cloud.runtime.folders import chosen_results
from spikeinterface_cloud.runtime.host import (
    BASE_MEMORY_BYTES,
    SHARED_MEMORY,
    WORKER_MEMORY_BYTES,
    free_disk_bytes,
    shared_memory_bytes,
    usable_memory_bytes,
    workers,
)
from spikeinterface_cloud.runtime.logging import format_bytes
from spikeinterface_cloud.runtime.memory_estimate import (
    SAMPLE_BYTES,
    Extent,
    check_memory,
    extent_of_files,
    extent_of_recording,
    fits_beside_analysis,
)
from spikeinterface_cloud.runtime.scratch import left_bytes, make_room
from spikeinterface_cloud.sorting.availability import (
    are_installed,
    check_gpu,
    check_names,
    check_parameters,
)
from spikeinterface_cloud.sorting.derived_parameters import check_rate
from spikeinterface_cloud.sorting.shared_memory import (
    check_shared_memory_is_writable,
    shared_memory_suffices,
    uses_shared_memory,
)
from spikeinterface_cloud.sorting.task import SortingTask
from spikeinterface_cloud.storage.range_reader import ObjectChanged
from spikeinterface_cloud.storage.small_objects import read_files

logger = logging.getLogger(__name__)

#: space by the size of a file, which is enough however well it is compressed: hardly to a tenth
PLENTY = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """How one check ended."""

    name: str
    #: what was found, where all is well
    detail: str = ""
    #: why it failed, with the remedy
    error: CloudJobError | None = None


class Preflight:
    """The checks of one job, in the order in which a user would fix problems."""

    def __init__(
        self, settings: JobSettings, tasks: Sequence[SortingTask], scratch: Path | None
    ) -> None:
        """`scratch` is None where the job will have a temporary folder."""
        self._settings = settings
        self._tasks = tasks
        self._scratch = scratch or Path(tempfile.gettempdir())
        self._found: FoundSource | None = None
        #: of each recording of the source, if it is compressed and its metadata say it
        self._samples: list[Samples | None] = []

    def run(self, check_target: Callable[[], None]) -> list[CheckResult]:
        """Run every check; none stops the others."""
        checks: list[tuple[str, Callable[[], str]]] = [
            ("sorters", self._sorters),
            ("parameters", self._parameters),
            ("reader", self._reader),
            ("preprocessing", self._preprocessing),
            ("exports", self._exports),
            ("target", lambda: self._target(check_target)),
            ("GPU", self._gpu),
            ("source", self._source),
            ("disk", self._disk),
            *([("archive", self._archive)] if self._settings.archive != "none" else []),
            ("memory", self._memory),
            ("shared memory", self._shared_memory),
        ]
        return [attempt(name, check) for name, check in checks]

    def found_source(self) -> FoundSource:
        """Return the source, once the checks have passed."""
        assert self._found is not None, "the checks have to pass first"
        return self._found

    def _sorters(self) -> str:
        check_names(self._settings.sorters)
        return ", ".join(self._settings.sorters)

    def _parameters(self) -> str:
        check_parameters(self._settings.sorters_kwargs, self._settings.preprocessing)
        rate_hz = known_rate_hz(self._settings)
        if rate_hz is not None and are_installed(self._settings.sorters):
            check_rate(rate_hz, self._settings.preprocessing, self._settings.sorter_parameters)
        return "known to the sorters" if self._settings.sorters_kwargs else "the sorters' own"

    def _reader(self) -> str:
        kwargs = self._settings.read_recording_kwargs
        if isinstance(self._settings.source, SimulatedRecording):
            check_simulation(kwargs)
            return "none, the recording is simulated"
        return check_reader(self._settings.reader, kwargs).name

    def _preprocessing(self) -> str:
        settings, choice = self._settings, self._settings.preprocessing
        check_pipeline(choice)
        if isinstance(choice, str):
            return choice
        if trigger_lines(steps := as_steps(choice)):
            reader = find_reader(settings.reader).name
            check_triggers(steps, settings.source, reader, settings.events)
        return f"{len(choice)} steps"

    def _exports(self) -> str:
        name = self._settings.target_dandiset
        formats = ", ".join(self._settings.exports) or "none"
        if name is None:
            return formats
        if self._settings.dandi_api_key is None:
            raise SettingsError(
                "DANDI_API_KEY: missing, though TARGET_DANDISET is given; set it to the key of an "
                "account that owns the dandiset"
            )
        return f"{formats} to {find_draft(name, self._settings.dandi)}"

    def _target(self, check_target: Callable[[], None]) -> str:
        check_target()
        return str(self._settings.target or "the results folder only")

    def _gpu(self) -> str:
        if not any(needs_gpu(task.sorter, task.parameters) for task in self._tasks):
            return "none needed"
        kwargs = self._settings.sorters_kwargs
        gpu = find_gpu(cuda_index(kwargs.get("kilosort4", {})))
        check_gpu(self._settings.sorters, kwargs, gpu)
        assert isinstance(gpu, Gpu)
        return f"{gpu.name}, {format_bytes(gpu.memory_bytes)}"

    def _source(self) -> str:
        request = source_request(self._settings)
        self._found = find_source(request, self._settings.aws, self._settings.dandi)
        self._samples = [self._samples_by_metadata(each) for each in self._found.recordings]
        size = f"{self._found.location}, {format_bytes(self._found.size_bytes)} to fetch"
        known = [each for each in self._samples if each is not None]
        if len(known) < len(self._samples):
            return size
        return f"{size}, {format_bytes(sum(each.size_bytes for each in known))} uncompressed"

    def _samples_by_metadata(self, found: FoundSource) -> Samples | None:
        """Read what the metadata of a remote compressed recording say, before it is fetched."""
        files = {file.name: file for file in found.files}
        series = self._settings.read_recording_kwargs.get("electrical_series_path")

        def read(names: Sequence[PurePosixPath]) -> list[bytes]:
            return read_files([files[name] for name in names])

        try:
            if self._settings.reader == "nwb" and len(files) == 1:
                return self._samples_of_nwb(found, series)
            return find_samples(files, read, series)
        except ObjectChanged:  # the download says so
            return None

    def _samples_of_nwb(self, found: FoundSource, series: str | None) -> Samples | None:
        """Read the header of a file in HDF5, which takes some requests.

        Not if the disks have room however compressed it is, or too little even if it is not.
        """
        disks = [self._scratch, chosen_results(self._settings.results_folder)]
        free = min(map(free_disk_bytes, disks))
        size = found.size_bytes if self._found is None else self._found.size_bytes
        if not size * DISK_FACTOR < free < size * PLENTY:
            return None
        return find_hdf5_samples(found.files[0], series)

    def _sample_bytes(self) -> int:
        """Return the size of the samples to sort; if unknown, that of the files."""
        if self._found is None:
            return 0
        most = self._settings.sub_recording_n_frames
        return sum(
            each.size_bytes
            if samples is None
            else replace(
                samples, n_frames=min(samples.n_frames, most or samples.n_frames)
            ).size_bytes
            for each, samples in zip(self._found.recordings, self._samples, strict=True)
        )

    def _needed_scratch(self) -> int:
        fetched = self._found.size_bytes if self._found else 0
        return int(fetched + WRITTEN_FACTOR * self._sample_bytes())

    def _disk(self) -> str:
        free = free_disk_bytes(self._scratch)
        needed = self._needed_scratch()
        if free < needed and self._found is not None and are_installed(self._settings.sorters):
            job = fingerprints(self._settings, self._tasks, self._found).job
            needed = max(0, needed - left_bytes(self._scratch, job))
            if free < needed:
                free = make_room(self._scratch, needed, kept=job)
        if free < needed:
            raise UnavailableError(
                f"{self._scratch}: {format_bytes(free)} free, the job needs about "
                f"{format_bytes(needed)}; give it more scratch space (SCRATCH_FOLDER)"
            )
        if not needed:  # only the open recording tells
            return f"{format_bytes(free)} free; what is needed shows when the recording is open"
        return f"{format_bytes(free)} free, about {format_bytes(needed)} needed"

    def _archive(self) -> str:
        """Check the disk of the results, which may be that of scratch."""
        folder = chosen_results(self._settings.results_folder)
        free, needed = free_disk_bytes(folder), int(ARCHIVE_FACTOR * self._sample_bytes())
        if not needed:
            return f"{format_bytes(free)} free; what is needed shows when the recording is open"
        shared = same_disk(folder, self._scratch)
        also = f" besides {format_bytes(self._needed_scratch())} of scratch" if shared else ""
        if free < needed + (self._needed_scratch() if shared else 0):
            raise UnavailableError(
                f"{folder}: {format_bytes(free)} free, the archive needs up to "
                f"{format_bytes(needed)}{also}; give RESULTS_FOLDER a disk with more space, or "
                "leave ARCHIVE out"
            )
        return f"{format_bytes(free)} free, up to {format_bytes(needed)} needed{also}"

    def _memory(self) -> str:
        usable = usable_memory_bytes()
        n_workers = workers(self._settings.n_jobs)
        needed = BASE_MEMORY_BYTES + n_workers * WORKER_MEMORY_BYTES
        if usable < needed:
            raise UnavailableError(
                f"{format_bytes(usable)} of memory, the job needs {format_bytes(needed)} at least; "
                "give the container more, or set N_JOBS lower"
            )
        only_first_frames = self._settings.test_with_sub_recording
        found = () if self._found is None or only_first_frames else self._found.recordings
        size = sum(
            each.size_bytes if samples is None else samples.n_values * SAMPLE_BYTES
            for each, samples in zip(found, self._samples, strict=False)
        )
        # how many channels are sorted at once shows when the recording is open
        sorters = [] if self._settings.split_by else self._settings.sorters
        concerns = check_memory(sorters, extent_of_files(size), n_workers, usable)
        return "; ".join([f"{format_bytes(usable)} usable", *concerns])

    def _shared_memory(self) -> str:
        check_shared_memory_is_writable()
        size = f"{format_bytes(shared_memory_bytes())} in {SHARED_MEMORY}"
        if shared_memory_suffices():
            return size
        return f"{size}: sorters keep the filtered recording on scratch instead"


def check_settings(environ: Mapping[str, str]) -> tuple[CheckResult, JobSettings | None]:
    """Parse the variables; the other checks need the settings, which are None if that fails."""
    try:
        settings = read_settings(environ)
    except CloudJobError as error:
        return CheckResult(name="settings", error=error), None
    return CheckResult(name="settings", detail=f"{len(settings.masked())} variables"), settings


def check_memory_for(settings: JobSettings, facts: Mapping[str, Any]) -> list[str]:
    """Return warnings about steps that may run out of memory, now that the recording is open.

    `facts` are those of the recording in `run.json`. Raises UnavailableError if the memory
    certainly does not suffice.
    """
    extent = _extent(settings, facts)
    memory = usable_memory_bytes()
    concerns = check_memory(settings.sorters, extent, workers(settings.n_jobs), memory)
    for concern in concerns:
        logger.warning("%s", concern)
    return concerns


def sorts_beside_analysis(sorter: str, settings: JobSettings, facts: Mapping[str, Any]) -> bool:
    """Return whether memory suffices for the sorter while the units of another are analyzed.

    `facts` are those of the recording in `run.json`.
    """
    if uses_shared_memory(sorter) and not shared_memory_suffices():
        return False
    extent, n_workers = _extent(settings, facts), workers(settings.n_jobs)
    return fits_beside_analysis(sorter, extent, n_workers, usable_memory_bytes())


def _extent(settings: JobSettings, facts: Mapping[str, Any]) -> Extent:
    extent = extent_of_recording(
        facts["n_channels"], facts["duration_s"], facts["sampling_frequency_hz"]
    )
    if settings.split_by is None:
        return extent
    return replace(extent, sorted_fraction=max(facts["groups"].values()) / facts["n_channels"])


def known_rate_hz(settings: JobSettings) -> float | None:
    """Return the sampling rate if the settings contain it."""
    kwargs = settings.read_recording_kwargs
    if isinstance(settings.source, SimulatedRecording):
        return simulated_rate_hz(kwargs)
    rate = kwargs.get("sampling_frequency")
    return float(rate) if is_number(rate) and rate > 0 else None


def source_request(settings: JobSettings) -> SourceRequest:
    """Return the source as the settings describe it."""
    simulated = isinstance(settings.source, SimulatedRecording)
    return SourceRequest(
        location=settings.source,
        data_type=None if simulated else settings.reader,
        read_recording_kwargs=settings.read_recording_kwargs,
        probe_file=settings.probe_file,
        n_frames=settings.sub_recording_n_frames,
        event_streams=trigger_streams(settings.preprocessing),
    )


def raise_failures(results: Sequence[CheckResult]) -> None:
    """Raise the failures as one error, with a line for each."""
    errors = [result.error for result in results if result.error is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        together = "\n".join(str(error) for error in errors)
        combined = CloudJobError(together)
        combined.exit_code = exit_code_of(results)
        raise combined


def exit_code_of(results: Sequence[CheckResult]) -> int:
    """Return the exit code of wrong settings, if any, else that of the first failure."""
    codes = [result.error.exit_code for result in results if result.error is not None]
    return os.EX_CONFIG if os.EX_CONFIG in codes else (codes or [os.EX_OK])[0]


def table(results: Sequence[CheckResult]) -> str:
    """Return a table of the results: check, ok or failed, details or remedy."""
    width = max(len(result.name) for result in results)
    rows = [
        (result, line)
        for result in results
        for line in mask_signatures(str(result.error or result.detail)).splitlines()
    ]
    return "\n".join(
        f"{result.name:<{width}}  {'failed' if result.error else 'ok':<6}  {printable(line)}"
        for result, line in rows
    )


def attempt(name: str, check: Callable[[], object]) -> CheckResult:
    """Return how a check ended: its result, or the error that it raised."""
    try:
        return CheckResult(name=name, detail=str(check()))
    except CloudJobError as error:
        return CheckResult(name=name, error=error)
