"""A zoo of recordings, whole and broken, each through the whole job: `make zoo`.

    python -m tools.zoo [--only TEXT] [--part 1/1] [--page FILE]

Each layout that the tests can write is broken in each way, sorted by run_script.py with the
sorter `simple`, and its results are compared with the truth. Exits with 1 if one job ended with a
traceback or wrong results, hung, or refused a whole recording.
"""

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from tools.zoo.run import FOR_SHORT_JOBS

if __name__ == "__main__" and any(os.environ.get(name) is None for name in FOR_SHORT_JOBS):
    # libraries look at the variables when they are imported; and no job reads what it may not, as
    # the container is never root
    as_user = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    command = [sys.executable, "-m", "tools.zoo", *sys.argv[1:]]
    command = command if os.geteuid() else [*as_user, *command]
    os.execvpe(command[0], command, os.environ | FOR_SHORT_JOBS)  # noqa: S606

# each job is a fork of this process, and has what a job imports late, too
import scipy.signal  # noqa: F401
import spikeinterface.sortingcomponents.peak_detection
import spikeinterface.sortingcomponents.peak_localization  # noqa: F401

from tools.zoo.broken_files import BROKEN_FILES
from tools.zoo.broken_samples import BROKEN_SAMPLES
from tools.zoo.broken_variables import BROKEN_VARIABLES
from tools.zoo.layouts import LAYOUTS
from tools.zoo.outcomes import FAULTS, Verdict
from tools.zoo.page import Run, with_tables
from tools.zoo.run import Case, run_all
from tools.zoo.truth import simulate_truth

#: what two cores do in some twenty minutes
DEFAULT_PART = "1/4"

BREAKAGES = (*BROKEN_FILES, *BROKEN_SAMPLES, *BROKEN_VARIABLES)


@click.command()
@click.option("--only", default="", help="cases whose name has this regular expression")
@click.option(
    "--part", default=DEFAULT_PART, show_default=True, help="one part of the cases of several"
)
@click.option("--workers", default=os.cpu_count(), show_default="cores", help="jobs at once")
@click.option("--page", type=click.Path(path_type=Path), help="Markdown file for the tables")
@click.option("--verdicts", type=click.Path(path_type=Path), help="file for a line of JSON a case")
@click.option(
    "--program",
    type=click.Path(path_type=Path),
    help="another program than run_script.py",
)
def main(
    only: str,
    part: str,
    workers: int,
    page: Path | None,
    verdicts: Path | None,
    program: Path | None,
) -> None:
    """Run the zoo."""
    number, _, n_parts = part.partition("/")
    cases = [
        case
        for layout in LAYOUTS
        for breakage in BREAKAGES
        if re.search(only, (case := Case(layout=layout, breakage=breakage)).name)
        and case.is_in_part(int(number) - 1, int(n_parts))
    ]
    started = time.monotonic()
    found = []
    with tempfile.TemporaryDirectory(prefix="zoo-") as folder:
        Path(folder).chmod(0o755)
        for verdict in run_all(cases, simulate_truth(), Path(folder), workers, program):
            found.append(verdict)
            click.echo(
                f"{len(found)}/{len(cases)} {verdict.outcome} {verdict.exit_code} "
                f"{verdict.seconds} s: {verdict.layout} / {verdict.breakage}: {verdict.message}"
            )
            if verdicts is not None:
                with verdicts.open("a") as file:
                    file.write(json.dumps(asdict(verdict)) + "\n")
            if page is not None:
                page.write_text(with_tables(page.read_text(), _describe(found, part)))
    click.echo(f"{len(found)} jobs in {time.monotonic() - started:.0f} s")
    sys.exit(any(verdict.outcome in FAULTS for verdict in found))


def _describe(verdicts: Sequence[Verdict], part: str) -> Run:
    command = "make zoo" if part == DEFAULT_PART else f"make zoo PART={part}"
    date = datetime.now(UTC).date().isoformat()
    return Run(verdicts=verdicts, command=command, date=date)


if __name__ == "__main__":
    main()
