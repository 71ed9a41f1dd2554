"""The files of a SpikeGLX run, raw or in IBL's compression, identified by their names alone.

Names follow `<run>_g<gate>_t<trigger>.<stream>.<ending>`; CatGT writes `tcat` for the trigger, and
people drop the gate and trigger when they rename a file.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import TypeVar

from spikeinterface_cloud.errors import RecordingError, SettingsError

P = TypeVar("P", bound=PurePath)

#: of the names of files that macOS leaves beside others on some file systems
APPLE_DOUBLE = "._"

NAME = re.compile(
    r"(?!\._)(?P<run>.+?)(?:_g(?P<gate>\d+)_t(?P<trigger>\d+|cat))?"
    r"\.(?P<stream>imec\d*\.(?:ap|lf)|nidq|obx\d*)(?:\.obx)?\.(?P<ending>bin|meta|cbin|ch)"
)

#: what IBL puts into the name of each file that it publishes, another one into each
UUID = re.compile(r"\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=\.\w+$)", re.IGNORECASE)

#: names of the LFP band, as its files and as its reader spell it
IBL_LFP_BANDS = ("lf", "lp")


@dataclass(frozen=True, kw_only=True, slots=True)
class SpikeGlxFile:
    """One file of a run."""

    path: PurePosixPath
    run: str
    #: None in a file that was renamed
    gate: str | None
    #: a number, `cat`, or None in a file that was renamed
    trigger: str | None
    #: `imec0.ap`, `imec0.lf`, `nidq`, `obx0`
    stream: str
    #: `bin`, `meta`, or `cbin` and `ch` when compressed
    ending: str


def parse_name(path: PurePosixPath) -> SpikeGlxFile | None:
    """Parse the name of a file; return None if it is not one of SpikeGLX's.

    >>> parse_name(PurePosixPath("day1/mouse_g0_t1.imec0.ap.bin")).stream
    'imec0.ap'
    """
    match = NAME.fullmatch(path.name)
    return None if match is None else SpikeGlxFile(path=path, **match.groupdict())


def stream_files(
    names: Sequence[PurePosixPath], kwargs: Mapping[str, object]
) -> list[PurePosixPath]:
    """Return the binary and meta files of the stream that `kwargs` name, or of the only AP band."""
    files = [file for name in names if (file := parse_name(name)) is not None]
    if not files and (compressed := [name for name in names if name.suffix == ".cbin"]):
        raise SettingsError(f"{compressed[0].name} is compressed: set DATA_TYPE=cbin_ibl")
    if not files and any(name.suffix == ".meta" for name in names):
        return list(names)  # renamed beyond recognition: neo reads the meta files themselves
    streams = sorted({file.stream for file in files if file.ending in ("bin", "cbin")})
    chosen = _choose(streams, kwargs)
    kept = [file for file in files if file.stream == chosen]
    _refuse_compressed(kept)
    _refuse_several_runs(kept)
    _require_pairs(kept)
    return [file.path for file in kept]


def _choose(streams: list[str], kwargs: Mapping[str, object]) -> str:
    requested = kwargs.get("stream_id") or kwargs.get("stream_name")
    listing = ", ".join(streams)
    if not streams:
        raise RecordingError(
            "no SpikeGLX recording here: expected files like run_g0_t0.imec0.ap.bin "
            "and run_g0_t0.imec0.ap.meta"
        )
    if requested is not None:
        if str(requested).endswith(".lf"):
            raise RecordingError(
                f"READ_RECORDING_KWARGS names {requested!r}, the LFP band, which contains no "
                f"spikes; name the AP band, stream_id {str(requested).removesuffix('lf')}ap"
            )
        if requested in streams:
            return str(requested)
        raise SettingsError(
            f"READ_RECORDING_KWARGS names the stream {requested!r}, which is not among: {listing}"
        )
    bands = [stream for stream in streams if stream.endswith(".ap")]
    if not bands:
        raise RecordingError(
            f"there is no AP band to sort, only {listing}; put the AP band's .bin and .meta beside "
            "them, or name a NI-DAQ or OneBox stream that contains spikes as stream_id in "
            "READ_RECORDING_KWARGS"
        )
    if len(bands) > 1:
        raise SettingsError(
            f"there are {len(bands)} AP bands: {', '.join(bands)}; choose one, "
            f'READ_RECORDING_KWARGS={{"stream_id": "{bands[0]}"}}'
        )
    return bands[0]


def _refuse_compressed(files: Sequence[SpikeGlxFile]) -> None:
    if any(file.ending == "cbin" for file in files) and not any(f.ending == "bin" for f in files):
        raise SettingsError(
            f"{files[0].stream} is compressed (.cbin), which another reader opens: "
            "set DATA_TYPE=cbin_ibl"
        )


def _refuse_several_runs(files: Sequence[SpikeGlxFile]) -> None:
    """Gates and triggers of one run are its segments; anything else would sort data twice."""
    runs = sorted({file.run for file in files})
    if len(runs) > 1:
        raise SettingsError(
            f"{files[0].stream} is here from {len(runs)} runs: {', '.join(runs)}; "
            "name the folder of one of them as the source"
        )
    if len({file.trigger == "cat" for file in files if file.ending == "bin"}) > 1:
        raise SettingsError(
            f"{files[0].stream} is here twice, as recorded and as joined by CatGT (tcat); "
            "name a folder with only one of the two as the source"
        )
    places = defaultdict(list)
    for file in files:
        places[file.gate, file.trigger, file.ending].append(str(file.path))
    for paths in places.values():
        if len(paths) > 1:
            raise SettingsError(
                f"the same file is here {len(paths)} times: {', '.join(paths)}; "
                "name the folder of one of them as the source"
            )


def _require_pairs(files: Sequence[SpikeGlxFile]) -> None:
    """Refuse a file without its partner: a trigger without samples is a part that is missing."""
    samples = {file.path.with_suffix("") for file in files if file.ending == "bin"}
    compressed = {file.path.with_suffix("") for file in files if file.ending == "cbin"}
    joined = {file.trigger for file in files if file.ending == "bin"} == {"cat"}
    headers = {
        file.path.with_suffix("")
        for file in files
        if file.ending == "meta" and (file.trigger == "cat" or not joined)
    }
    for stem in sorted(samples - headers):
        raise RecordingError(
            f"{stem}.bin cannot be read without {stem.name}.meta; put the meta file that SpikeGLX "
            "wrote beside it, and name their folder as the source"
        )
    for stem in sorted(headers - samples):
        if stem in compressed:
            raise RecordingError(
                f"{stem}.cbin is compressed, and other files of this stream are not; decompress "
                f"it with mtscomp (mtsdecomp {stem.name}.cbin), or name a folder without it"
            )
        raise RecordingError(
            f"{stem}.meta is here without {stem.name}.bin, its samples; copy them from the "
            "acquisition computer, or name a folder without that meta file as the source"
        )


def without_uuid(name: P) -> P:
    """Remove the UUID that IBL puts into the names of published files.

    >>> name = "a.imec0.ap.0a1b2c3d-0123-4567-89ab-0123456789ab.cbin"
    >>> without_uuid(PurePosixPath("probe00", name)).as_posix()
    'probe00/a.imec0.ap.cbin'
    """
    return name.with_name(UUID.sub("", name.name))


def ibl_files(names: Sequence[PurePosixPath], kwargs: Mapping[str, object]) -> list[PurePosixPath]:
    """Return the .cbin, .ch and .meta of the AP band of the one probe among `names`."""
    band = str(kwargs.get("stream_name") or "ap")
    if band in IBL_LFP_BANDS:
        raise RecordingError(
            "READ_RECORDING_KWARGS names the LFP band, which contains no spikes; leave stream_name "
            "out to read the AP band"
        )
    if band != "ap" or kwargs.get("load_sync_channel"):
        raise SettingsError(
            "READ_RECORDING_KWARGS: only the AP band is sorted, without its sync words; leave "
            "stream_name and load_sync_channel out"
        )
    compressed = [
        name
        for name in names
        if name.suffix == ".cbin" and ".ap." in name.name and not name.name.startswith(APPLE_DOUBLE)
    ]
    if not compressed:
        raise RecordingError(_no_compressed_band(names))
    if len(compressed) > 1:
        raise SettingsError(_several_bands(compressed))
    [samples] = compressed
    return [samples, *(_part(samples, ending, names) for ending in (".ch", ".meta"))]


def _part(samples: PurePosixPath, ending: str, names: Sequence[PurePosixPath]) -> PurePosixPath:
    """Return the file of that ending that belongs to a .cbin, whatever its UUID."""
    part = without_uuid(samples).with_suffix(ending)
    matches = [name for name in names if without_uuid(name) == part]
    if not matches:
        raise RecordingError(
            f"{samples} cannot be read without {part.name}; put it beside it, and name their "
            "folder as the source"
        )
    if len(matches) > 1:
        listing = ", ".join(name.name for name in matches)
        raise SettingsError(
            f"{samples.name} has several {ending} files: {listing}; name a folder with only the "
            "one that belongs to it as the source"
        )
    return matches[0]


def _no_compressed_band(names: Sequence[PurePosixPath]) -> str:
    raw = [file for name in names if (file := parse_name(name)) and file.ending == "bin"]
    if raw:
        return f"{raw[0].path.name} is not compressed, which another reader opens: " + (
            "set DATA_TYPE=spikeglx"
        )
    others = ", ".join(name.name for name in names if name.suffix == ".cbin") or "none"
    return (
        f"there is no file of the AP band (*.ap.cbin) here; .cbin files: {others}; name the folder "
        "of the AP band"
    )


def _several_bands(compressed: Sequence[PurePosixPath]) -> str:
    listing = ", ".join(str(name) for name in compressed[:6])
    folders = {name.parent for name in compressed}
    remedy = (
        "name the folder of one of them as the source"
        if len(folders) == len(compressed)
        else "put the files of one probe (.cbin, .ch, .meta) in a folder of its own, and name it"
    )
    return f"there are {len(compressed)} compressed AP bands here: {listing}; {remedy}"
