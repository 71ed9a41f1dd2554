"""The Neuropixels probe that an Open Ephys stream was recorded with.

probeinterface takes the first probe whose name occurs anywhere in that of the stream, and the
channel map of the last record node for every node.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from neo.rawio import OpenEphysBinaryRawIO
from probeinterface import Probe, read_openephys_neuropixels
from spikeinterface.extractors.neuropixels_utils import get_neuropixels_sample_shifts_from_probe

from spikeinterface_cloud.errors import RecordingError


def correct_probe(recording: Any) -> None:
    """Give the recording the probe whose name its stream has.

    A channel map that was not applied to this record node, but to a later one, raises
    `RecordingError`.
    """
    reader = recording.neo_reader
    if not isinstance(reader, OpenEphysBinaryRawIO) or not recording.has_probe():
        return
    node, _, signal = str(recording.stream_name).rpartition("#")
    [experiment] = reader.folder_structure[node]["experiments"].values()
    settings = Path(experiment["settings_file"])
    if not settings.is_file():
        return
    root = ElementTree.parse(settings).getroot()  # noqa: S314 (probeinterface has parsed it before)
    _refuse_later_map(root, node or Path(recording._kwargs["folder_path"]).name)
    # `Neuropix-PXI-100.ProbeA-AP`; until GUI 0.6, streams were numbered
    names = (signal.partition(".")[2].removesuffix("-AP"), signal.rpartition("-")[2])
    several = sum(1 for _ in root.iter("NP_PROBE")) > 1
    if not several or len(recording.get_probes()) > 1 or recording.get_probe().name in names:
        return
    probe = _probe_named(settings, names)
    if probe is None:
        return
    by_shank = {} if probe.shank_ids is None else {"group_mode": "by_shank"}
    recording.set_probe(probe, **by_shank)
    shifts = get_neuropixels_sample_shifts_from_probe(probe)
    if shifts is not None:
        recording.set_property("inter_sample_shift", shifts)


def _probe_named(settings: Path, names: Sequence[str]) -> Probe | None:
    """Return the probe with exactly the first of the names that one has; None without one."""
    for name in names:
        probe = read_openephys_neuropixels(settings, probe_name=name, raise_error=False)
        if probe is not None:
            return probe
    return None


def _refuse_later_map(root: ElementTree.Element, node: str) -> None:
    """Refuse a node before a channel map that is followed by another node."""
    for chain in root.findall("SIGNALCHAIN"):
        processors = [each for each in chain if each.tag == "PROCESSOR"]
        names = [each.get("name", "") for each in processors]
        nodes = [n for n, name in enumerate(names) if "Record Node" in name]
        own = [n for n in nodes if _node_id(processors[n]) == node.rpartition(" ")[2]] or nodes[:1]
        maps = [n for n, name in enumerate(names) if "Channel Map" in name]
        if any(own[0] < place < nodes[-1] for place in maps if nodes):
            raise RecordingError(
                f"the channels were mapped after {node or 'the first record node'} had recorded "
                "them, so settings.xml does not say which contact is which; give the probe as "
                "PROBE_FILE, or sort the record node after the channel map"
            )


def _node_id(processor: ElementTree.Element) -> str | None:
    return processor.get("nodeId") or processor.get("NodeId")
