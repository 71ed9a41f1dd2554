"""All benchmarks, one table after the other: `make bench`.

    python benchmarks/run.py [--rounds 5] [--quick] [--only NAME]

README.md beside this file says what each row means.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

FOLDER = Path(__file__).resolve().parent

BENCHMARKS = (
    "fetch",
    "zarr_open",
    "job",
    "memory",
    "submit",
    "preprocessing",
    "analysis",
    "kilosort_step",
    "fixed_costs",
)

#: enough to see that everything runs, not to believe the figures
QUICK = {
    "fetch": ["--size-mib", "64"],
    "zarr_open": ["--chunks", "200"],
    "job": ["--duration-s", "10", "--channels", "16"],
    "memory": ["--duration-s", "3", "--channels", "16"],
    "submit": [],
    "preprocessing": ["--duration-s", "5", "--channels", "64"],
    "analysis": ["--duration-s", "30", "--channels", "16", "--units", "5", "--longer", "2"],
    "kilosort_step": ["--duration-s", "10"],
    "fixed_costs": [],
}


@click.command()
@click.option("--rounds", default=5, show_default=True, help="rounds, of which medians are taken")
@click.option("--quick", is_flag=True, help="one round of small recordings")
@click.option("--only", type=click.Choice(BENCHMARKS), help="one benchmark instead of all")
def main(rounds: int, quick: bool, only: str | None) -> None:
    """Run the benchmarks; each deletes what it has written."""
    failed = False
    for name in [only] if only else BENCHMARKS:
        options = QUICK[name] if quick else []
        if name != "memory":  # which is the same in every round
            options = [*options, "--rounds", "1" if quick else str(rounds)]
        finished = subprocess.run(
            [sys.executable, str(FOLDER / f"{name}.py"), *options], check=False
        )
        failed = failed or finished.returncode != 0
        print(flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
