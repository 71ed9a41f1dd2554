"""The report of a job while it runs: what it will be written from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeinterface_cloud.errors import UnavailableError
from spikeinterface_cloud.report.page import write_report
from spikeinterface_cloud.report.sample import RecordingSample
from spikeinterface_cloud.results.layout import REPORT
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.runtime.logging import step

logger = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class Report:
    """The inputs of the report, which grow with the job."""

    #: the results folder
    folder: Path
    record: RunRecord
    #: the requested sorters
    sorters: Sequence[str]
    #: None until the recording is preprocessed
    sample: RecordingSample | None = None

    def write(self) -> None:
        """Write `report.html`; a failure is only logged, as the results are complete without."""
        file = self.folder / REPORT
        try:
            with room_for_results(file), step("write the report", self.record.steps) as writing:
                write_report(self.folder, self.record, self.sorters, self.sample)
                writing.size_bytes = file.stat().st_size
        except UnavailableError as error:
            file.unlink(missing_ok=True)
            logger.warning("%s", error)
        except Exception:  # whatever is in the results folder, run.json has to follow
            logger.exception("report.html could not be written; the results are complete without")
