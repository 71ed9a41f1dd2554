"""Processing that a recording went through before this job, as documented in its files.

CatGT writes its command lines into the header, SpikeInterface its steps into the folder. A phase
shift must not be applied twice; filters and references are only noted.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spikeinterface.core import BaseRecording, BinaryRecordingExtractor
from spikeinterface.core.binaryfolder import BinaryFolderRecording
from spikeinterface.core.zarrextractors import ZarrRecordingExtractor, super_zarr_open
from spikeinterface.extractors.neoextractors.spikeglx import SpikeGLXRecordingExtractor
from spikeinterface.extractors.nwbextractors import NwbRecordingExtractor

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.formats.imec import header_files, source_recording
from spikeinterface_cloud.recording.formats.mtscomp_recording import MtscompRecording
from spikeinterface_cloud.recording.samples.units import remove_gains

#: names of the classes that read folders saved by SpikeInterface
SAVED_FOLDERS = ("BinaryFolderRecording", "ZarrRecordingExtractor")

#: property with each channel's delay within a sample, which the phase shift removes
SHIFT = "inter_sample_shift"

#: in the header: `catGTCmdline0`, `catGTCmdline1`, ... of each pass, `catGTCmdline` of a supercat
COMMAND_LINE = re.compile(r"^~?catGTCmdline(\d*)=<?(.*?)>?\s*$", re.MULTILINE)

#: options of CatGT before 2.2, which aligned channels only with `-tshift`; later versions always
#: do, except with `-no_tshift`
BEFORE_ALIGNING = re.compile(r"-(aphipass|aplopass|lfhipass|lflopass)\b")

#: options of CatGT that filter or reference the AP band, or cut out artifacts
CHANGES = re.compile(r"-(?:apfilter|aphipass|aplopass|loccar_um|loccar|gblcar|gbldmx|gfix)\b\S*")

#: steps of SpikeInterface after which samples are no voltages any more
WITHOUT_UNIT = ("WhitenRecording", "ZScoreRecording", "NormalizeByQuantileRecording")


def check_earlier_processing(recording: BaseRecording, notes: list[str]) -> None:
    """Note earlier processing, and remove shifts of channels that are already aligned.

    The gains of a recording that was whitened or normalized are removed too.

    Recordings of which only some segments are aligned are refused.
    """
    source = source_recording(recording)
    match source:
        case BinaryFolderRecording() | ZarrRecordingExtractor():
            _check_spikeinterface(recording, _steps(source), notes)
        case BinaryRecordingExtractor() if _provenance_file(source).is_file():
            _check_spikeinterface(recording, _steps(source), notes)
        case SpikeGLXRecordingExtractor() | BinaryRecordingExtractor() | MtscompRecording():
            headers = [file.read_text(errors="replace") for file in header_files(source)]
            _check_catgt(recording, headers, notes)
        case NwbRecordingExtractor() if source.electrical_series_path.startswith("processing/"):
            _note_doubt(recording, notes)


def _is_shifted(recording: BaseRecording) -> bool:
    shifts = recording.get_property(SHIFT)
    return shifts is not None and len(set(shifts.tolist())) > 1


def _note_doubt(recording: BaseRecording, notes: list[str]) -> None:
    if _is_shifted(recording):
        notes.append(
            f"the channels were sampled one after the other (property {SHIFT}), and the source "
            "does not say whether they were aligned since: PREPROCESSING=default aligns them; if "
            "they are aligned, give the steps without phase_shift"
        )


# ----- CatGT -------------------------------------------------------------------------------------


def _check_catgt(recording: BaseRecording, headers: Sequence[str], notes: list[str]) -> None:
    commands = [COMMAND_LINE.findall(header) for header in headers]
    if not any(commands):
        return
    lines = [line for passes in commands for _, line in passes]
    if changes := dict.fromkeys(option for line in lines for option in CHANGES.findall(line)):
        notes.append(
            f"CatGT has filtered, referenced or cleaned this recording ({' '.join(changes)}): "
            "filters and references of this job are applied on top of that"
        )
    if not _is_shifted(recording):
        return
    aligned = {_is_aligned(passes) for passes in commands}
    if len(aligned) > 1:
        raise RecordingError(
            "CatGT has aligned the channels of some files in time, and not of others; name a "
            "folder with only one kind as the source"
        )
    if aligned == {True}:
        recording.delete_property(SHIFT)
        joined = any(not number for passes in commands for number, _ in passes)
        notes.append(
            "CatGT joined runs, and aligns channels in time unless -no_tshift was given, which the "
            "header no longer says: they are assumed to be aligned, and not shifted again"
            if joined
            else "CatGT has aligned the channels in time: they are not shifted again"
        )


def _is_aligned(passes: Sequence[tuple[str, str]]) -> bool:
    """Return whether one of CatGT's passes has aligned the channels of a file."""
    return any(
        "-tshift" in line
        or not ("-no_tshift" in line or "-t=cat" in line or BEFORE_ALIGNING.search(line))
        for _, line in passes
    )


# ----- SpikeInterface ----------------------------------------------------------------------------


def _check_spikeinterface(
    recording: BaseRecording, steps: Sequence[str] | None, notes: list[str]
) -> None:
    if steps is None:
        _note_doubt(recording, notes)
        return
    processed = [step for step in steps if step not in SAVED_FOLDERS]
    if processed:
        listing = ", ".join(processed)
        notes.append(f"SpikeInterface has processed this recording before: {listing}")
    if "PhaseShiftRecording" in steps and _is_shifted(recording):
        recording.delete_property(SHIFT)
        notes.append("the channels are already aligned in time: they are not shifted again")
    elif set(steps) & set(SAVED_FOLDERS):  # steps before an earlier save are not documented
        _note_doubt(recording, notes)
    unitless = [step for step in steps if step in WITHOUT_UNIT]
    if unitless and recording.has_scaleable_traces():
        remove_gains(recording)
        notes.append(f"after {unitless[0]} the samples are not in microvolts: gains are not used")


def _steps(source: BaseRecording) -> list[str] | None:
    """Return the preprocessors and saved folders that the samples went through; None if unknown."""
    provenance = _provenance(source)
    if not isinstance(provenance, dict):
        return None
    return [
        name.rpartition(".")[2]
        for name in reversed(list(_classes(provenance)))
        if "spikeinterface.preprocessing" in name or name.endswith(SAVED_FOLDERS)
    ]


def _provenance(source: BaseRecording) -> Any:
    if isinstance(source, ZarrRecordingExtractor):
        folder, options = source._kwargs["folder_path"], source._kwargs["storage_options"]
        return super_zarr_open(folder, storage_options=options).attrs.get("provenance")
    file = _provenance_file(source)
    try:
        return json.loads(file.read_text()) if file.is_file() else None
    except (ValueError, RecursionError):  # not JSON
        return None


def _provenance_file(source: BaseRecording) -> Path:
    folder = source._kwargs.get("folder_path") or Path(source._kwargs["file_paths"][0]).parent
    return Path(folder) / "provenance.json"


def _classes(provenance: Any) -> Iterator[str]:
    """Yield the names of all classes in the provenance of a recording, the last step first."""
    waiting = [provenance]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if isinstance(value.get("class"), str):
                yield value["class"]
            waiting += value.values()
