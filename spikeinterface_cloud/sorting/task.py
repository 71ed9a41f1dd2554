"""What each sorter is run with, built once for the checks, the fingerprint and the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.runtime.host import workers
from spikeinterface_cloud.sorting.availability import complete_parameters, sorter_version


@dataclass(frozen=True, kw_only=True)
class SortingTask:
    """One sorter, its parameters and workers; the sorter may be missing from this image."""

    sorter: str
    #: as the user gave them
    parameters: Mapping[str, Any]
    n_jobs: int
    #: the property of the channels whose groups are sorted by themselves; None: one sort
    split_by: str | None = None

    @cached_property
    def completed_parameters(self) -> Mapping[str, Any]:
        """The parameters without choices that the sorter, which is installed, makes silently."""
        return complete_parameters(self.sorter, self.parameters)

    @cached_property
    def version(self) -> str | None:
        """The version of the sorter, which is installed; None if it has none."""
        return sorter_version(self.sorter)


def sorting_tasks(settings: JobSettings) -> list[SortingTask]:
    """Return the task of each sorter of the job, in order."""
    n_jobs = workers(settings.n_jobs)
    return [
        SortingTask(sorter=sorter, parameters=parameters, n_jobs=n_jobs, split_by=settings.split_by)
        for sorter, parameters in settings.sorter_parameters.items()
    ]
