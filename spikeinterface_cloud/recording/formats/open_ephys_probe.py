"""The Neuropixels probe that an Open Ephys stream was recorded with.

probeinterface takes the first probe whose name occurs anywhere in that of the stream, the channel
map of the last record node for every node, its first maps for the probes in their order, the
selection of the first record node, and the sampling order of channels that were never mapped.
"""

import tempfile
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from neo.rawio import OpenEphysBinaryRawIO
from probeinterface import Probe, read_openephys_neuropixels
from spikeinterface.extractors.neuropixels_utils import get_neuropixels_sample_shifts_from_probe

from spikeinterface_cloud.errors import RecordingError

#: how settings.xml writes that something is not enabled
OFF = ("0", "false")


def correct_probe(recording: Any) -> None:
    """Give the recording the probe whose name its stream has, in the order of its channels.

    A channel map that was not applied to this record node, but to a later one, or that does not
    name the stream, raises `RecordingError`.
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
    own, maps = _processors_of(root, settings.parent.name)
    n_nodes = sum("Record Node" in each.get("name", "") for each in root.iter("PROCESSOR"))
    # `Neuropix-PXI-100.ProbeA-AP`; until GUI 0.6, streams were numbered
    stream = signal.partition(".")[2]
    names = (stream.removesuffix("-AP"), signal.rpartition("-")[2])
    several = sum(1 for _ in root.iter("NP_PROBE")) > 1
    if len(recording.get_probes()) > 1:
        return
    name = recording.get_probe().name
    if not ((several and name not in names) or maps or n_nodes > 1):
        return
    probe = _probe_in_readout_order(root, names if several else (name,))
    if probe is not None:
        _set_probe(recording, _slice_as_recorded(probe, own, maps, stream))
    elif maps:
        raise RecordingError(
            f"no probe in settings.xml has the name of the stream {stream}, whose channels were "
            "mapped; give the probe as PROBE_FILE"
        )


def _set_probe(recording: Any, probe: Probe) -> None:
    if probe.get_contact_count() != recording.get_num_channels():
        raise RecordingError(
            f"the stream has {recording.get_num_channels()} channels, and by settings.xml "
            f"{probe.get_contact_count()} contacts; give the probe as PROBE_FILE"
        )
    probe.set_device_channel_indices(np.arange(probe.get_contact_count()))
    by_shank = {} if probe.shank_ids is None else {"group_mode": "by_shank"}
    recording.set_probe(probe, **by_shank)
    shifts = get_neuropixels_sample_shifts_from_probe(probe)
    if shifts is not None:
        recording.set_property("inter_sample_shift", shifts)


def _probe_in_readout_order(root: ElementTree.Element, names: Sequence[str]) -> Probe | None:
    """Return the probe with exactly the first of the names that one has; None without one.

    Its contacts are all that were read out, as before any channel map and selection.
    """
    unmapped = deepcopy(root)
    for chain in unmapped.findall("SIGNALCHAIN"):
        for processor in list(chain):
            name = processor.get("name", "")
            if "Channel Map" in name or "Record Node" in name:
                chain.remove(processor)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "settings.xml")
        ElementTree.ElementTree(unmapped).write(settings)
        for name in names:
            probe = read_openephys_neuropixels(settings, probe_name=name, raise_error=False)
            if probe is not None:
                return probe
    return None


def _slice_as_recorded(
    probe: Probe, node: ElementTree.Element | None, maps: list[ElementTree.Element], stream: str
) -> Probe:
    """Return the contacts of the channels of `stream` that `node` recorded, in their order."""
    for channel_map in maps:
        order = _order_of_stream(channel_map, stream)
        if order is None:
            raise RecordingError(
                f"a channel map before the record node does not say the order of {stream}, so "
                "settings.xml does not say which contact is which; give the probe as PROBE_FILE"
            )
        # beyond the contacts there is the channel of the synchronization line
        probe = probe.get_slice(np.array([n for n in order if n < probe.get_contact_count()]))
    for each in [] if node is None else node.iterfind("CUSTOM_PARAMETERS/STREAM"):
        state = each.get("recording_state", "ALL")
        if each.get("name") == stream and state not in ("ALL", "NONE"):
            n_contacts = probe.get_contact_count()
            saved = [n for n, flag in enumerate(state[:n_contacts]) if flag == "1"]
            probe = probe.get_slice(np.array(saved))
    return probe


def _order_of_stream(channel_map: ElementTree.Element, stream: str) -> Iterable[int] | None:
    """Return the channels of a stream in their order after a map; None if it does not say."""
    streams = channel_map.findall("STREAM")
    orders = channel_map.findall("CUSTOM_PARAMETERS/STREAM")
    places = [n for n, each in enumerate(streams) if each.get("name") == stream]
    if len(places) != 1 or len(orders) != len(streams):
        return None
    channels = orders[places[0]].findall("CH")
    for parameters in streams[places[0]].iterfind("PARAMETERS[@enable_stream]"):
        if parameters.get("enable_stream") in OFF:  # then the map lets it pass as it is
            return range(len(channels))
    return [int(each.get("index", "")) for each in channels if each.get("enabled") not in OFF]


def _processors_of(
    root: ElementTree.Element, node: str
) -> tuple[ElementTree.Element | None, list[ElementTree.Element]]:
    """Return the record node whose folder is `node`, and the channel maps before it.

    A node before a channel map that is followed by another node raises `RecordingError`.
    """
    nodes = [each for each in root.iter("PROCESSOR") if "Record Node" in each.get("name", "")]
    ids = [each.get("nodeId") or each.get("NodeId") for each in nodes]
    number = node.rpartition(" ")[2]
    if not nodes:
        return None, []
    own = nodes[ids.index(number)] if number in ids else nodes[0]
    [chain] = [each for each in root.findall("SIGNALCHAIN") if own in list(each)]
    names = [each.get("name", "") for each in chain]
    place, last = list(chain).index(own), max(list(chain).index(n) for n in nodes if n in chain)
    maps = [n for n, name in enumerate(names) if "Channel Map" in name]
    if any(place < n < last for n in maps):
        raise RecordingError(
            f"the channels were mapped after {node} had recorded them, so settings.xml does not "
            "say which contact is which; give the probe as PROBE_FILE, or sort the record node "
            "after the channel map"
        )
    return own, [chain[n] for n in maps if n < place]
