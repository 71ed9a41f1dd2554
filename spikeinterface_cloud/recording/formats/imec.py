"""Channels of a SpikeGLX imec file as its header describes them, and a reader for what neo lacks.

neo expects one gain for each entry of the `imroTbl`, and one sync word at most. The table of an
NP1110 has an entry for each group of channels, and a quad-base probe has four sync words: these
are read here. For other probes neo's gains are replaced: neo looks them up by the position of a
channel in the file, which is not its number where only some channels were saved.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import probeinterface
from probeinterface import Probe
from probeinterface.neuropixels_tools import build_neuropixels_probe, parse_spikeglx_meta
from spikeinterface.core import BaseRecording, BinaryRecordingExtractor
from spikeinterface.extractors.neoextractors.spikeglx import SpikeGLXRecordingExtractor
from spikeinterface.extractors.neuropixels_utils import (
    compute_saturation_threshold_from_probe,
    get_neuropixels_sample_shifts_from_probe,
)

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.formats.header_checks import check_spikeglx_file
from spikeinterface_cloud.recording.formats.mtscomp_recording import MtscompRecording
from spikeinterface_cloud.recording.formats.spikeglx import (
    APPLE_DOUBLE,
    SpikeGlxFile,
    parse_name,
    stream_files,
)
from spikeinterface_cloud.recording.messages import add_note, channel_ranges

#: the channels of a shank that IBL split off, by their numbers before that
SHANK_CHANNELS = "snsSaveChanSubset_orig"

#: keys that have to be the same in all files of a stream
PROBE_SETTINGS = ("imroTbl", "snsSaveChanSubset", "imAiRangeMax", "imMaxInt", "imSampRate")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImecHeader:
    """The meta file of an imec binary file, with regard to its AP channels."""

    file: Path
    meta: Mapping[str, str]
    #: contacts of the AP channels, in the order of the first columns of the file
    probe: Probe
    n_saved: int

    @property
    def n_channels(self) -> int:
        """The number of AP channels."""
        return int(self.probe.get_contact_count())

    @property
    def first_sample(self) -> int:
        """The first sample of the file on the clock of the run."""
        return int(self.meta.get("firstSample", 0))

    @property
    def channel_names(self) -> list[str]:
        """The names of all columns, the sync words included."""
        names = [entry.split(";")[0] for entry in _entries(self.meta["snsChanMap"])][1:]
        return _saved(names, self.meta)

    @property
    def gains_uv(self) -> npt.NDArray[np.float64]:
        """Microvolts per step of each AP channel.

        Volts per step are `imAiRangeMax / imMaxInt`, divided by the gain of the amplifier: that of
        each channel in the `imroTbl` where it can be set, else one for the probe.
        """
        bit_depth = self.probe.annotations["adc_bit_depth"]
        n_steps = int(self.meta.get("imMaxInt") or 2 ** (bit_depth - 1))
        gains = self.probe.contact_annotations.get("ap_gains")
        if gains is None:
            gains = self.meta.get("imChan0apGain") or self.probe.annotations["ap_gain"]
        per_channel = np.broadcast_to(np.asarray(gains, dtype=float), self.n_channels)
        uv: npt.NDArray[np.float64] = float(self.meta["imAiRangeMax"]) / n_steps * 1e6 / per_channel
        return uv

    @property
    def unused(self) -> npt.NDArray[np.bool_]:
        """Mask of the AP channels that the header marks as not used (reference, switched off)."""
        sites = self.meta.get("snsGeomMap") or self.meta.get("snsShankMap", "")
        flags = _saved([entry.split(":")[-1] for entry in _entries(sites)[1:]], self.meta)
        if len(flags) != self.n_channels:
            return np.zeros(self.n_channels, dtype=bool)
        return np.array([flag == "0" for flag in flags], dtype=bool)


def read_header(meta_file: Path) -> ImecHeader:
    """Read the meta file of an imec binary file."""
    meta = parse_spikeglx_meta(meta_file)
    probe = _read_probe(meta_file, meta)
    return ImecHeader(file=meta_file, meta=meta, probe=probe, n_saved=int(meta["nSavedChans"]))


def _read_probe(meta_file: Path, meta: Mapping[str, str]) -> Probe:
    """Read the contacts of a header; IBL's for one shank of four count its channels from 0."""
    if SHANK_CHANNELS not in meta:
        return probeinterface.read_spikeglx(meta_file)
    with TemporaryDirectory() as folder:
        original = Path(folder, meta_file.name)
        lines = {**meta, "snsSaveChanSubset": meta[SHANK_CHANNELS]}
        original.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        return probeinterface.read_spikeglx(original)


def read_unsupported_by_neo(folder: Path, kwargs: Mapping[str, object]) -> BaseRecording | None:
    """Read the AP stream that `kwargs` name, or the only one; return None if neo can read `folder`.

    neo reads the header of every stream in a folder, whichever is requested, and expects each
    trigger of all of them.
    """
    present = sorted(file for file in folder.rglob("*.meta") if file.with_suffix(".bin").is_file())
    if hidden := [file for file in present if file.name.startswith(APPLE_DOUBLE)]:
        raise RecordingError(
            f"{hidden[0].name} is no meta file of SpikeGLX, but of macOS, which leaves such files "
            f"beside others; delete them (find FOLDER -name '{APPLE_DOUBLE}*' -delete)"
        )
    metas = {file: parse_spikeglx_meta(file) for file in present}
    for file, meta in metas.items():
        _refuse_unknown_probe(file, meta)
    unsupported = [file for file, meta in metas.items() if not _is_supported_by_neo(meta)]
    names = [PurePosixPath(file.relative_to(folder).as_posix()) for file in present]
    triggers = _triggers(metas.values())
    if not unsupported and len(set(triggers.values())) < 2:
        return None
    names += [name.with_suffix(".bin") for name in names]
    chosen = [parse_name(name) for name in stream_files(names, kwargs)]
    files = [file for file in chosen if file is not None and file.ending == "meta"]
    if not files or not files[0].stream.endswith(".ap"):
        if not unsupported:
            listing = ", ".join(f"{name}: {' and '.join(has)}" for name, has in triggers.items())
            raise RecordingError(
                f"the streams of this folder are not of the same triggers ({listing}), and only an "
                "AP band can be read then; put the files of the stream to sort in a folder of "
                "their own"
            )
        raise RecordingError(
            f"{unsupported[0].name} is of a probe of which only the AP band can be read here, from "
            "files that are named as SpikeGLX does (run_g0_t0.imec0.ap.bin); give it that name, or "
            "put the files of the stream to sort in a folder of their own"
        )
    in_order = [folder / file.path for file in sorted(files, key=_gate_and_trigger)]
    stream = "" if kwargs.get("use_names_as_ids") else f"{files[0].stream}#"
    recording = read_imec(in_order, stream)
    recording.annotate(stream_name=files[0].stream)
    return recording


def _triggers(metas: Iterable[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return the gates and triggers of each stream as neo finds them, such as `g0_t0`, `g0_tcat`.

    neo takes them from the name of the file when it was written, which is in its header.
    """
    found: dict[str, set[str]] = {}
    for meta in metas:
        file = parse_name(PurePosixPath(meta.get("fileName", "").replace("\\", "/")))
        if file is not None:
            found.setdefault(file.stream, set()).add(f"g{file.gate}_t{file.trigger}")
    return {stream: tuple(sorted(triggers)) for stream, triggers in sorted(found.items())}


def _refuse_unknown_probe(file: Path, meta: Mapping[str, str]) -> None:
    part_number = meta.get("imDatPrb_pn")
    if not part_number:
        return
    try:
        build_neuropixels_probe(part_number)
    except KeyError as error:
        raise RecordingError(
            f"{file.name} is of a probe {part_number}, whose contacts and gains probeinterface "
            f"{probeinterface.__version__} does not know; name {file.with_suffix('.bin').name} as "
            "the source with DATA_TYPE=binary, and give its contacts and their wiring as "
            "PROBE_FILE; to sort another stream, put its files in a folder of their own"
        ) from error


def _is_supported_by_neo(meta: Mapping[str, str]) -> bool:
    if "snsApLfSy" not in meta or "imroTbl" not in meta:
        return True
    n_ap, n_lf, n_sync = (int(count) for count in meta["snsApLfSy"].split(","))
    return n_sync <= 1 and len(_entries(meta["imroTbl"])) - 1 >= max(n_ap, n_lf)


def _gate_and_trigger(file: SpikeGlxFile) -> tuple[int, int]:
    return int(file.gate or 0), 0 if file.trigger in (None, "cat") else int(file.trigger)


def source_recording(recording: BaseRecording) -> Any:
    """Return the recording that is read from files, which this one is derived from."""
    while recording.get_parent() is not None:
        recording = recording.get_parent()
    return recording


def header_files(recording: BaseRecording) -> list[Path]:
    """Return the meta file of each segment of a SpikeGLX recording; none for any other."""
    source = source_recording(recording)
    match source:
        case SpikeGLXRecordingExtractor():
            infos = source.neo_reader.signals_info_list
            own = [info for info in infos if info["stream_name"] == source.stream_id]
            own.sort(key=lambda info: int(info["seg_index"]))
            return [Path(info["meta_file"]) for info in own]
        case BinaryRecordingExtractor():
            beside = [
                Path(file).with_suffix(".meta")
                for file in source.get_binary_description()["file_paths"]
            ]
            return beside if all(file.is_file() for file in beside) else []
        case MtscompRecording():
            return [source.segments[0].meta_path]
        case _:
            return []


def read_imec(meta_files: Sequence[Path], prefix: str) -> BaseRecording:
    """Read the AP channels of one stream, with gains, probe and sample shifts.

    Parameters
    ----------
    meta_files
        one for each segment, which starts at its `firstSample`
    prefix
        of the channel ids; neo's is `imec0.ap#`
    """
    headers = [read_header(file) for file in meta_files]
    for header in headers:
        check_spikeglx_file(header.file.with_suffix(".bin"), header.meta, header.n_saved)
    first = headers[0]
    rate = float(first.meta["imSampRate"])
    all_columns = BinaryRecordingExtractor(
        [header.file.with_suffix(".bin") for header in headers],
        sampling_frequency=rate,
        dtype="int16",
        num_channels=first.n_saved,
        channel_ids=[f"{prefix}{name}" for name in first.channel_names],
        t_starts=[header.first_sample / rate for header in headers],
    )
    return ap_channels(all_columns, headers)


def ap_channels(all_columns: BaseRecording, headers: Sequence[ImecHeader]) -> BaseRecording:
    """Return the AP channels among all columns of a stream, with gains, probe and shifts."""
    first = headers[0]
    all_columns.set_property("channel_name", first.channel_names)
    is_sync = np.char.startswith(first.channel_names, "SY")
    recording = all_columns.select_channels(all_columns.channel_ids[~is_sync])
    group_mode = "auto" if first.probe.shank_ids is None else "by_shank"
    recording.set_probe(first.probe, group_mode=group_mode)
    shifts = get_neuropixels_sample_shifts_from_probe(first.probe)
    if shifts is not None:
        recording.set_property("inter_sample_shift", shifts)
    threshold = compute_saturation_threshold_from_probe(first.probe, "ap")
    if threshold is not None:
        recording.annotate(saturation_threshold_uV=threshold)
    follow_headers(recording, headers)
    return recording


def follow_neo_headers(recording: Any) -> None:
    """Apply `follow_headers` to a recording that SpikeInterface opened, if it has AP channels."""
    stream = str(recording.stream_id)
    if stream.startswith("imec") and stream.endswith(".ap"):
        follow_headers(recording, [read_header(file) for file in header_files(recording)])


def follow_headers(recording: BaseRecording, headers: Sequence[ImecHeader]) -> None:
    """Set the gains of an imec recording from the headers of its files, and note unused channels.

    Headers that describe different channels, or another number of them than was read, are
    refused.
    """
    first = headers[0]
    for header in headers[1:]:
        differing = [key for key in PROBE_SETTINGS if header.meta.get(key) != first.meta.get(key)]
        if differing:
            raise RecordingError(
                f"{first.file.name} and {header.file.name} differ in {', '.join(differing)}, so "
                "their channels are not the same; sort them separately: name one of their folders, "
                "or one file, as the source"
            )
    if recording.get_num_channels() != first.n_channels:
        raise RecordingError(
            f"{first.file.name} contradicts itself: snsSaveChanSubset has {first.n_channels} AP "
            f"channels, and snsChanMap {recording.get_num_channels()}; copy the meta file again "
            "from the acquisition computer"
        )
    recording.set_channel_gains(first.gains_uv)
    recording.set_channel_offsets(0.0)
    if first.unused.any():
        add_note(
            recording,
            f"the header marks {np.count_nonzero(first.unused)} of {first.n_channels} channels as "
            "not used (reference contacts or switched off); they may carry no signal: "
            f"{channel_ranges(recording, first.unused)}",
        )


def _entries(table: str) -> list[str]:
    """Split a table in a meta file: `(384,384,1)(AP0;0:0)` has two entries."""
    return re.findall(r"\(([^)]*)\)", table)


def _saved(entries: list[str], meta: Mapping[str, str]) -> list[str]:
    """Return those of the channels of a shank, whose header still lists all of the probe."""
    if SHANK_CHANNELS not in meta:
        return entries
    numbers = channel_numbers(meta[SHANK_CHANNELS])
    return [entries[number] for number in numbers if number < len(entries)]


def channel_numbers(listed: str) -> list[int]:
    """Return the numbers in a list of channels of a meta file.

    >>> channel_numbers("0:2,768")
    [0, 1, 2, 768]
    """
    numbers: list[int] = []
    for part in listed.split(","):
        first, _, last = part.partition(":")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
