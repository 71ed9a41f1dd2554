"""How fast `spikeinterface-cloud` starts and submits, beside `click` and `aws batch submit-job`.

    python benchmarks/submit.py [--rounds 5]

Both sides send the same request, to one server on loopback that holds it against the limits of
AWS; ours looks for the same job and for the target's bucket first, which is two calls more.
Everything takes less than a second, so that each round has several turns.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from table import Taken, measure, print_head, print_milliseconds  # noqa: E402

from tests.support.batch_server import DEFINITION, QUEUE, aws_server  # noqa: E402
from tests.support.servers import ACCESS_KEY, REGION, SECRET_KEY  # noqa: E402
from tests.support.wheel import build_wheel, install  # noqa: E402

PROGRAM = ROOT / "submit_job.py"
AWS = Path(sys.executable).with_name("aws")

#: turns that the two sides take in each round
TURNS = 5

BUCKET = "lab-results"

JOB = [
    *["--source", "s3://lab-data/raw/session1", "--target", f"s3://{BUCKET}/session1"],
    *["--data-type", "spikeglx", "--sorters", "kilosort4"],
    *["--job-queue", QUEUE, "--job-definition", DEFINITION],
]


@click.command()
@click.option("--rounds", default=5, show_default=True, help="rounds, of which medians are taken")
def main(rounds: int) -> None:
    """Print the rows of submission."""
    with tempfile.TemporaryDirectory() as name, aws_server() as server:
        folder = Path(name)
        (folder / "sources").mkdir()
        server.client("s3").create_bucket(Bucket=BUCKET)
        environment = {
            "HOME": name,
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
        }
        installed = Path(install(build_wheel(folder / "sources"), folder, sys.executable))
        print_head("start", "ours", "click")
        compare(
            "spikeinterface-cloud --help",
            [installed, "--help"],
            [installed.with_name("python"), "-c", "import click"],
            environment,
            (folder, rounds * TURNS, "<= 1.50"),
        )
        compare(
            "submit_job.py --help",
            [sys.executable, PROGRAM, "--help"],
            [sys.executable, "-c", "import click"],
            environment,
            (folder, rounds * TURNS, "<= 1.50"),
        )
        measure([sys.executable, PROGRAM, *JOB, "--dry-run"], environment, folder)
        request = folder / "request.json"
        shown = (folder / "output-of-the-command.log").read_text()
        request.write_text(shown[shown.index("{") :])  # after the note that the server is local
        print_head("submission", "submit_job", "aws")
        compare(
            "one job",
            [sys.executable, PROGRAM, *JOB],
            [AWS, "batch", "submit-job", "--cli-input-json", request.as_uri()],
            environment,
            (folder, rounds * TURNS, "<= 1.00"),
        )


def compare(
    label: str,
    ours: Sequence[str | Path],
    other: Sequence[str | Path],
    environment: Mapping[str, str],
    setting: tuple[Path, int, str],
) -> None:
    """Let two commands take turns, and print what they took by the clock and of the CPU.

    `setting` is the folder to run in, the number of turns, and the goal.
    """
    folder, turns, goal = setting
    pairs: list[tuple[Taken, Taken]] = [
        (measure(ours, environment, folder), measure(other, environment, folder))
        for _ in range(turns + 1)
    ][1:]  # the first turn fills the caches of files
    for unit, taken in (("clock", "wall_s"), ("CPU", "cpu_s")):
        print_milliseconds(
            f"{label}, {unit}",
            [getattr(mine, taken) for mine, _ in pairs],
            [getattr(theirs, taken) for _, theirs in pairs],
            goal,
        )


if __name__ == "__main__":
    main()
