"""The two Dockerfiles: what they have in common, and the rules that both of them keep."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NAMES = ("Dockerfile", "Dockerfile.gpu")


def instructions(name: str) -> list[str]:
    """The instructions, each on one line, without comments."""
    lines = (REPOSITORY / name).read_text().splitlines()
    code = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return re.sub(r"\\\n\s*", "", "\n".join(code)).splitlines()


def packages(name: str) -> list[tuple[str, str]]:
    """The apt packages, each with the line above it."""
    lines = [line.strip().removesuffix("\\").strip() for line in text(name).splitlines()]
    return [
        (line, above)
        for above, line in itertools.pairwise(lines)
        if re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", line)
    ]


def text(name: str) -> str:
    return (REPOSITORY / name).read_text()


def test_they_differ_in_torch_and_the_gpu_alone() -> None:
    cpu, gpu = instructions("Dockerfile"), instructions("Dockerfile.gpu")
    assert [line for line in cpu if line not in gpu and not line.startswith(("RUN", "LABEL"))] == []
    extra = [line.split("=")[0] for line in gpu if line not in cpu]
    assert [line for line in extra if not line.startswith(("RUN", "LABEL"))] == [
        "COPY requirements/gpu.txt /tmp/requirements/",
        "ARG TORCH_INDEX",
        "ENV NVIDIA_VISIBLE_DEVICES",
    ]
    assert packages("Dockerfile") == packages("Dockerfile.gpu")


@pytest.mark.parametrize("name", NAMES)
def test_every_apt_package_has_its_reason(name: str) -> None:
    found = packages(name)
    assert {"python3.11", "tini", "ca-certificates"} <= {package for package, _ in found}
    for package, above in found:
        assert re.match(rf"# {re.escape(package)}: \w", above), f"{name}: why {package}?"


@pytest.mark.parametrize("name", NAMES)
def test_the_bases_are_debian_or_chosen(name: str) -> None:
    bases = [line for line in instructions(name) if line.startswith(("FROM", "ARG BASE"))]
    assert bases == [
        "ARG BASE=debian:bookworm-slim",
        "FROM debian:bookworm-slim AS packages",
        "FROM packages AS compiled",
        "FROM ${BASE}",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_packages_come_before_the_code_and_the_labels_last(name: str) -> None:
    image = instructions(name)[instructions(name).index("FROM ${BASE}") :]
    order = [
        next(number for number, line in enumerate(image) if line.startswith(start))
        for start in (
            "RUN apt-get",
            "COPY --from=packages",
            "COPY spikeinterface_cloud",
            "ENTRYPOINT",
            "ARG VERSION",
            "LABEL",
        )
    ]
    assert order == sorted(order)
    assert image[-1].startswith("LABEL")


@pytest.mark.parametrize("name", NAMES)
def test_the_programs_are_started_without_a_shell(name: str) -> None:
    starts = [line for line in instructions(name) if line.startswith(("ENTRYPOINT", "CMD"))]
    assert starts == [
        'ENTRYPOINT ["tini", "-s", "--", "as-owner-of-results"]',
        'CMD ["python", "run_script.py"]',
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_build_needs_no_frontend_from_a_registry(name: str) -> None:
    assert "syntax=" not in text(name)


def test_only_what_the_program_needs_is_sent_to_a_build() -> None:
    rules = [
        line
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    allowed = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert all((REPOSITORY / path).exists() for path in allowed)
    for name in NAMES:
        sent = [
            source
            for line in instructions(name)
            if line.startswith("COPY ") and "--from" not in line
            for source in line.split()[1:-1]
        ]
        assert set(sent) <= set(allowed)
