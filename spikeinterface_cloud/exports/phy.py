"""The folder that phy opens, made from what the analyzer has already computed.

SpikeInterface's own exporter takes one segment only, and projects every spike on the principal
components, which takes longer than a sorter. Here the sampled waveforms go along, from which phy
computes the features of those spikes itself, and nothing is read from the recording again.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import spikeinterface as si

from spikeinterface_cloud.exports.metrics import CHANNEL_GROUP, metrics_of
from spikeinterface_cloud.runtime.logging import format_bytes

logger = logging.getLogger(__name__)

#: traces up to this size go along; larger ones would be uploaded once for each sorter
LARGEST_TRACES_BYTES = 4 * 1024**3

TRACES = "recording.dat"

#: stands for a channel in rows that are shorter than the longest
NO_CHANNEL = -1

#: templates, and channels of each: phylib drops the dimensions of length one
FEWEST = 2

#: metrics that phy computes by itself
OF_PHY = ("num_spikes", "firing_rate")


def export_phy(
    analyzer: si.SortingAnalyzer,
    recording: si.BaseRecording,
    labels: pd.DataFrame,
    folder: Path,
    largest_traces_bytes: int = LARGEST_TRACES_BYTES,
    *,
    split_by: str | None = None,
) -> None:
    """Write the folder, which is emptied before; segments are concatenated, as in the traces.

    Parameters
    ----------
    recording
        what was sorted: one segment in one binary file
    labels
        a row for each unit, by its name as text, with a column `label`; empty where there are none
    split_by
        property of the units with their group of channels, if each was sorted by itself
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    channels = _padded_channels(analyzer)
    _write_traces(recording, folder, largest_traces_bytes)
    _write_spikes(analyzer, folder)
    _write_templates(analyzer, channels, folder)
    _write_waveforms(analyzer, channels, folder)
    _write_channels(analyzer, folder)
    write_tables(analyzer, labels, folder)
    if split_by is not None:  # phy's own `group` is the label
        _write_column(folder, CHANNEL_GROUP, analyzer.get_sorting_property(split_by))


def _padded_channels(analyzer: si.SortingAnalyzer) -> npt.NDArray[np.int64]:
    """Return the channel indices of each unit, padded to the same length."""
    if analyzer.sparsity is None:
        lists = [np.arange(len(analyzer.channel_ids))] * len(analyzer.unit_ids)
    else:
        by_unit = analyzer.sparsity.unit_id_to_channel_indices
        lists = [by_unit[name] for name in analyzer.unit_ids]
    length = max(FEWEST, *map(len, lists))
    padded = np.full((len(lists), length), NO_CHANNEL, dtype="int64")
    for row, indices in zip(padded, lists, strict=True):
        row[: len(indices)] = indices
    return padded


def _write_traces(recording: si.BaseRecording, folder: Path, largest_bytes: int) -> None:
    """Copy the sorted file if it is small, and write `params.py`."""
    binary = recording.get_binary_description()
    source = Path(binary["file_paths"][0])
    size_bytes = source.stat().st_size
    copied = size_bytes <= largest_bytes
    if copied:
        shutil.copyfile(source, folder / TRACES)
    else:
        logger.warning(
            "%s: phy opens without the traces, which are %s; waveforms and features are there",
            folder,
            format_bytes(size_bytes),
        )
    lines = {
        "dat_path": TRACES if copied else [],  # beside this file, wherever the folder lies
        "n_channels_dat": int(binary["num_channels"]),
        "dtype": np.dtype(binary["dtype"]).name,
        "offset": int(binary["file_offset"]),
        "sample_rate": float(recording.sampling_frequency),
        "hp_filtered": bool(recording.is_filtered()),
    }
    text = "".join(f"{name} = {value!r}\n" for name, value in lines.items())
    (folder / "params.py").write_text(text)


def _write_spikes(analyzer: si.SortingAnalyzer, folder: Path) -> None:
    spikes = analyzer.sorting.to_spike_vector()
    lengths = [analyzer.get_num_samples(index) for index in range(analyzer.get_num_segments())]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    if len(lengths) > 1:
        logger.info(
            "%s: phy knows one segment, so the %d are one after the other, as they were sorted",
            folder,
            len(lengths),
        )
    times = spikes["sample_index"] + starts[spikes["segment_index"]]
    clusters = spikes["unit_index"].astype("int32")
    np.save(folder / "spike_times.npy", times.astype("int64"))
    np.save(folder / "spike_templates.npy", clusters)
    np.save(folder / "spike_clusters.npy", clusters)
    amplitudes = analyzer.get_extension("spike_amplitudes").get_data()
    np.save(folder / "amplitudes.npy", amplitudes.astype("float64"))


def _write_templates(
    analyzer: si.SortingAnalyzer, channels: npt.NDArray[np.int64], folder: Path
) -> None:
    means = analyzer.get_extension("templates").get_data(operator="average")
    templates = np.take_along_axis(means, np.maximum(channels, 0)[:, np.newaxis, :], axis=2)
    templates = np.where(channels[:, np.newaxis, :] == NO_CHANNEL, 0, templates)
    similarity = analyzer.get_extension("template_similarity").get_data()
    unused = max(0, FEWEST - len(templates))  # no spike is of these
    templates = np.pad(templates, ((0, unused), (0, 0), (0, 0)))
    channels = np.pad(channels, ((0, unused), (0, 0)), constant_values=NO_CHANNEL)
    similarity = np.pad(similarity, (0, unused))
    np.save(folder / "templates.npy", templates.astype("float32"))
    np.save(folder / "template_ind.npy", channels)
    np.save(folder / "similar_templates.npy", similarity.astype("float32"))


def _write_waveforms(
    analyzer: si.SortingAnalyzer, channels: npt.NDArray[np.int64], folder: Path
) -> None:
    """Write the sampled waveforms, from which phy computes features without the traces."""
    sampled = analyzer.get_extension("random_spikes").get_data()
    waveforms = analyzer.get_extension("waveforms").get_data()
    units = analyzer.sorting.to_spike_vector()["unit_index"][sampled]
    order = np.argsort(sampled, kind="stable")
    spike_channels = channels[units[order]]
    n_channels = channels.shape[1]
    padding = ((0, 0), (0, 0), (0, max(0, n_channels - waveforms.shape[2])))
    header = np.lib.format.header_data_from_array_1_0(np.empty(0, dtype="float32"))
    header["shape"] = (len(order), waveforms.shape[1], n_channels)
    # not mapped: a full disk would kill this process by SIGBUS
    with (folder / "_phy_spikes_subset.waveforms.npy").open("wb") as written:
        np.lib.format.write_array_header_1_0(written, header)
        for rows in np.array_split(np.arange(len(order)), max(1, len(order) // 2000)):
            chosen = np.pad(waveforms[order[rows]][:, :, :n_channels], padding)
            unused = spike_channels[rows][:, np.newaxis, :] == NO_CHANNEL
            written.write(np.where(unused, 0, chosen).astype("float32").tobytes())
    np.save(folder / "_phy_spikes_subset.spikes.npy", sampled[order].astype("int64"))
    np.save(folder / "_phy_spikes_subset.channels.npy", spike_channels.astype("int32"))


def _write_channels(analyzer: si.SortingAnalyzer, folder: Path) -> None:
    n_channels = len(analyzer.channel_ids)
    groups = analyzer.get_recording_property("group")
    shanks = np.zeros(n_channels) if groups is None else np.unique(groups, return_inverse=True)[1]
    np.save(folder / "channel_map.npy", np.arange(n_channels, dtype="int32"))
    np.save(folder / "channel_map_si.npy", np.array([str(n) for n in analyzer.channel_ids]))
    positions = analyzer.get_channel_locations()[:, :2]  # all that phy knows
    np.save(folder / "channel_positions.npy", positions.astype("float32"))
    np.save(folder / "channel_shanks.npy", shanks.astype("int32"))


def write_tables(analyzer: si.SortingAnalyzer, labels: pd.DataFrame, folder: Path) -> None:
    """Write the columns of phy's cluster table, one file each."""
    names = [str(name) for name in analyzer.unit_ids]
    groups = ["unsorted"] * len(names)
    if "label" in labels.columns:
        groups = [label or "unsorted" for label in labels["label"].reindex(names, fill_value="")]
    _write_column(folder, "group", groups)
    # SpikeInterface's reader takes this column for the names of the units, if they are numbers
    numbered = all(name.isdecimal() for name in names)
    _write_column(folder, "si_unit_id" if numbered else "unit_name", names)
    for metric in metrics_of(analyzer):
        if metric.name not in OF_PHY:
            _write_column(folder, metric.name, metric.values)


def _write_column(folder: Path, name: str, values: Sequence[Any] | npt.NDArray[Any]) -> None:
    table = pd.DataFrame({"cluster_id": range(len(values)), name: values})
    table.to_csv(folder / f"cluster_{name}.tsv", sep="\t", index=False)
