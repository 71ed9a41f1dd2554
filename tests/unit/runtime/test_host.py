"""What a container may use, read from control groups that were written for the test."""

from pathlib import Path

from spikeinterface_cloud.runtime.host import (
    free_disk_bytes,
    peak_memory_bytes,
    usable_cpus,
    usable_memory_bytes,
    workers,
)


def test_without_limits_the_whole_machine_is_used(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) >= 1
    assert usable_memory_bytes(tmp_path) > 2**30


def test_the_quota_of_a_unified_control_group(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text("536870912\n")
    assert usable_cpus(tmp_path) == 1
    assert usable_memory_bytes(tmp_path) == 512 * 2**20


def test_less_than_a_cpu_counts_as_one(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("20000 100000\n")
    assert usable_cpus(tmp_path) == 1


def test_a_control_group_without_a_limit(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert usable_cpus(tmp_path) == usable_cpus(tmp_path / "none")
    assert usable_memory_bytes(tmp_path) == usable_memory_bytes(tmp_path / "none")


def test_the_quota_of_a_legacy_control_group(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "memory").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("1073741824\n")
    assert usable_cpus(tmp_path) == 1
    assert usable_memory_bytes(tmp_path) == 2**30


def test_workers_are_the_requested_or_as_many_as_cpus_and_memory_allow(tmp_path: Path) -> None:
    assert workers(None, tmp_path) >= 1
    assert workers(10**6, tmp_path) == 10**6
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert workers(None, tmp_path) == 1
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "memory.max").write_text(f"{1024**3 + 600 * 1024**2}\n")
    assert workers(None, tmp_path) == 1
    assert workers(2, tmp_path) == 2


def test_free_space_of_a_missing_folder_is_that_of_its_disk(tmp_path: Path) -> None:
    assert free_disk_bytes(tmp_path / "a" / "b") > 0


def test_peak_memory_grows_with_allocations() -> None:
    before = peak_memory_bytes()
    held = bytearray(before + 64 * 2**20)
    assert peak_memory_bytes() >= len(held)
