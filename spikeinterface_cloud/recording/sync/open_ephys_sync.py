"""The sync line of a stream of Open Ephys: one of its TTL lines."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.recording.clock.format_timestamps import neo_buffer
from spikeinterface_cloud.recording.sync.open_ephys_ttl import ttl_lines
from spikeinterface_cloud.recording.sync.sync_line import SyncLine

#: a line of the stream's own processor
OWN_LINE = re.compile(r"line\d+")


def open_ephys_sync(recording: BaseRecording, base: SyncLine, line: str | None) -> SyncLine:
    """Return the edges of a stream's sync line, which is the only TTL line if none is named.

    Parameters
    ----------
    recording
        the stream, as its reader returned it
    base
        all but the edges
    """
    # .../experiment1/recording1/continuous/<stream>/continuous.dat
    folder = Path(neo_buffer(recording.segments[0])["file_path"]).parents[2]
    base = replace(base, starts_with=f"{folder.parent.name}/{folder.name}")
    lines = ttl_lines(recording).lines
    listing = ", ".join(sorted(lines)) or "none"
    if line is not None and line not in lines:
        return replace(base, why=f"CLOCK_LINE names {line}, and its TTL lines are: {listing}")
    own = [name for name in lines if OWN_LINE.fullmatch(name)]
    if line is None and len(own) > 1:
        return replace(
            base,
            why=f"it has several TTL lines, {listing}; name the one with the sync pulses, like "
            f"CLOCK_LINE={base.stream}:{own[0]}",
        )
    if line is None and not own:
        return replace(base, why=f"it has no TTL events of its own (others: {listing})")
    edges = lines[line or own[0]]
    return replace(
        base,
        line=edges.line,
        rising_s=np.sort(edges.rising_s),
        falling_s=np.sort(edges.falling_s),
    )
