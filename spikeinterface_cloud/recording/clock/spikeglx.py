"""When a file of SpikeGLX begins, on the clock of its run, as its meta file says."""

import re
from pathlib import Path

from spikeinterface_cloud.recording.clock.sample_times import SampleTimes, evenly


def times_of_meta(meta_file: Path, n_frames: int, rate_hz: float) -> SampleTimes | None:
    """The times of a binary file; None where the meta file does not say when it begins."""
    lines = meta_file.read_text().splitlines()
    # neo leaves out lines with more than one equals sign, as command lines have
    meta = dict(line.split("=", 1) for line in lines if "=" in line)
    if "firstSample" not in meta:
        return None
    begin_s = float(meta["firstSample"]) / rate_hz
    times = evenly(begin_s, n_frames, 1 / rate_hz, "firstSample")
    return times.with_remarks(_remarks_on_catgt(meta))


def _remarks_on_catgt(meta: dict[str, str]) -> list[str]:
    """CatGT makes one file of several, with zeros in the gaps, or in a part of each."""
    n_files, command = meta.get("catNFiles", "1"), meta.get("catGTCmdline0", "")
    if n_files == "1" and "-supercat" not in command:
        return []
    remark = f"CatGT made it of {n_files} files, with zeros where samples are missing between them"
    if limit := re.search(r"-zerofillmax=(\d+)", command):
        remark += f", but for {limit[1]} ms at most: after a longer gap, spike times are too early"
    if "-supercat" in command:
        remark += "; of several runs, only the first is on its own clock"
    return [remark]
