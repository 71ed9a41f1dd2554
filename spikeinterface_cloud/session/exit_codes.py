"""The exit code of a stream's job in a Batch array, for the gathering job that depends on it.

AWS Batch starts a job only if all that it depends on have succeeded. A stream that failed for good
must not keep the others from being gathered, so its job ends with 0, and the gathering job reports
the failure by the `run.json` at the target.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from spikeinterface_cloud.errors import CloudJobError, Interrupted
from spikeinterface_cloud.results.folder import Results

logger = logging.getLogger(__name__)


@contextmanager
def leave_failures_to_gathering(results: Results) -> Iterator[None]:
    """End a job that failed for good as if it had succeeded, once its `run.json` is at the target.

    A job that Batch runs again (75), and one whose record could not be published, keep their code.
    """
    try:
        yield
    except (Exception, Interrupted) as error:
        code = error.exit_code if isinstance(error, CloudJobError | Interrupted) else 1
        if code == os.EX_TEMPFAIL or not results.is_record_published:
            raise
        for line in str(error).splitlines() if code != 1 else ():  # its traceback is in the log
            logger.error("%s", line)
        logger.warning(
            "exit code %d is in run.json, and the gathering job of the session reports it; this "
            "job ends with 0, as AWS Batch starts the gathering job only then",
            code,
        )
