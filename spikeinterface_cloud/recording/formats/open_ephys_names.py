"""Open Ephys folders, understood by the names and sizes of their files alone.

The binary format has `Record Node 101/experiment1/recording1/continuous/<stream>/continuous.dat`
and, in `structure.oebin` beside `continuous`, the description of all streams.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from spikeinterface_cloud.errors import RecordingError, SettingsError

SAMPLES = "continuous.dat"

#: the description of a recording's streams
STRUCTURE = "structure.oebin"

#: the folders above the samples, as the GUI names them
RECORDED = re.compile(
    r"(?:^|(?P<node>[^/]+)/)(?P<experiment>experiment\d+)/recording\d+/continuous/[^/]+/[^/]+$"
)

#: what mtscomp makes of it, by the name it is given or by its own
MTSCOMP = ("continuous.cbin", "continuous.cdat")

#: how to decompress what other programs make of it
DECOMPRESS = {
    "continuous.dat.gz": "gunzip",
    "continuous.dat.zst": "zstd -d",
    "continuous.dat.xz": "unxz",
    "continuous.dat.bz2": "bunzip2",
}

#: the folders of a session of the Allen Institute: the first samples, and all of them
CLIPPED, COMPRESSED = "ecephys_clipped", "ecephys_compressed"

USE_ZARR = (
    f"the Allen Institute's recordings are the .zarr folders in {COMPRESSED}: name one of them as "
    "the source, and set DATA_TYPE=zarr"
)


def refuse_missing_samples(
    names: Sequence[PurePosixPath], kwargs: Mapping[str, object] | None = None
) -> None:
    """Raise an error if fewer samples would be found than were recorded, or none.

    `kwargs` are READ_RECORDING_KWARGS, which may choose an experiment and a stream of one node.
    """
    if any(not {CLIPPED, COMPRESSED}.isdisjoint(name.parts) for name in names):
        raise SettingsError(f"{CLIPPED} has only the first samples of each stream; {USE_ZARR}")
    present = set(names)
    chosen = kwargs or {}
    for name in names:
        _refuse_undescribed(name, present, chosen)
        if name.with_name(SAMPLES) in present:
            continue
        if name.name in DECOMPRESS:
            raise RecordingError(
                f"{name} is compressed, and DATA_TYPE=openephys reads {SAMPLES}; decompress it, in "
                f"each such folder: {DECOMPRESS[name.name]} {name.name}"
            )
        if name.name in MTSCOMP and name.with_suffix(".ch") not in present:
            raise RecordingError(
                f"{name} cannot be decompressed without continuous.ch; put it beside it"
            )


def _refuse_undescribed(
    name: PurePosixPath, present: Collection[PurePosixPath], chosen: Mapping[str, object]
) -> None:
    """Refuse samples without the description of their recording, which the reader leaves out.

    Folders that the GUI did not name, and those of other experiments or nodes, are not read.
    """
    folder = RECORDED.search(name.as_posix())
    if folder is None or name.name not in (SAMPLES, *MTSCOMP):
        return
    node = str(chosen.get("stream_name") or "").rpartition("#")[0]
    if chosen.get("experiment_name") not in (None, folder["experiment"]) or (
        node and folder["node"] not in (None, node)
    ):
        return
    recording = name.parents[2]
    if recording / STRUCTURE not in present:
        raise RecordingError(
            f"{name} is here without {recording / STRUCTURE}, which describes it; copy that file "
            f"from the acquisition computer, or move {recording.name} out of {recording.parent}"
        )


#: a sample's number or time each, 8 bytes, after the header of a NumPy file
TIMES = ("sample_numbers.npy", "timestamps.npy")
NPY_HEADER_BYTES = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class ContinuousStream:
    """The samples of one stream, in all recordings of an experiment."""

    #: as the reader names it: `Record Node 101#Neuropix-PXI-100.ProbeA-AP`
    name: str
    #: compressed or not
    size_bytes: int
    #: by the recording, like ("experiment1", "recording1"); 0 where no file says it
    n_samples: Mapping[tuple[str, ...], int]

    @property
    def signal(self) -> str:
        """The name without the node that recorded it: `Neuropix-PXI-100.ProbeA-AP`."""
        return self.name.rpartition("#")[2]

    @property
    def short_name(self) -> str:
        """The name without node and processor, `ProbeA-AP`, unless that is a mere number."""
        _, _, short = self.signal.partition(".")
        return short if re.search(r"[A-Za-z]", short) else self.signal


def continuous_streams(
    files: Mapping[PurePosixPath, int], experiment: str | None, folder_name: str
) -> list[ContinuousStream]:
    """Return the streams of the binary format, by name.

    Parameters
    ----------
    files
        paths inside the source, and sizes in bytes
    experiment
        `experiment1`, `experiment2`, ..., where only one of them is read
    folder_name
        name of the source, where it is a local folder; the reader takes it for the node's
    """
    recordings = [name.parent for name in files if name.name == STRUCTURE]
    if not recordings:
        raise RecordingError(_no_recording(files))
    if any(len(folder.parts) < 2 for folder in recordings):
        raise SettingsError(
            "the source is inside of an experiment of Open Ephys; name the folder above, like "
            "'Record Node 101' or that of the session"
        )
    experiments = sorted({folder.parts[-2] for folder in recordings})
    if experiment is None and len(experiments) > 1:
        raise SettingsError(
            f"there are {len(experiments)} experiments, {', '.join(experiments)}, which are "
            "separate recordings; choose one, "
            f'READ_RECORDING_KWARGS={{"experiment_name": "{experiments[0]}"}}'
        )
    sizes: dict[str, int] = defaultdict(int)
    n_samples: dict[str, dict[tuple[str, ...], int]] = defaultdict(dict)
    for folder in recordings:
        if experiment in (None, folder.parts[-2]):
            node = folder.parts[-3] if len(folder.parts) > 2 else folder_name
            for stream, size_bytes, n_times in _streams_of(folder, files):
                name = f"{node}#{stream}" if node.startswith("Record") else stream
                sizes[name] += size_bytes
                n_samples[name][folder.parts[-2:]] = n_times
    return [
        ContinuousStream(name=name, size_bytes=sizes[name], n_samples=n_samples[name])
        for name in sorted(sizes)
    ]


def stream_files(names: Sequence[PurePosixPath], stream_name: str) -> list[PurePosixPath]:
    """Return the files without the samples of other streams, and without other nodes.

    A name that is no folder, as of a stream's ADC channels, needs all of them.
    """
    node, _, signal = stream_name.rpartition("#")
    recordings = {name.parent for name in names if name.name == STRUCTURE}
    nodes = {folder.parents[1] for folder in recordings if len(folder.parts) > 2}

    def is_needed(name: PurePosixPath) -> bool:
        if node and any(folder.name != node and name.is_relative_to(folder) for folder in nodes):
            return False
        samples = [folder for folder in name.parents if folder.name == "continuous"]
        return all(
            folder.parent not in recordings or name.relative_to(folder).parts[0] == signal
            for folder in samples
        )

    kept = [name for name in names if is_needed(name)]
    has_samples = any(
        name.parent.name == signal and name.name in (SAMPLES, *MTSCOMP) for name in kept
    )
    return kept if has_samples else list(names)


def _streams_of(
    recording: PurePosixPath, files: Mapping[PurePosixPath, int]
) -> Iterator[tuple[str, int, int]]:
    """Yield name, bytes and number of samples of each stream of one recording."""
    folder = recording / "continuous"
    for name, size_bytes in files.items():
        if name.parent.parent == folder and name.name in (SAMPLES, *MTSCOMP):
            times = (files.get(name.with_name(each)) for each in TIMES)
            times_bytes = next((each for each in times if each is not None), 0)
            yield name.parent.name, size_bytes, max(times_bytes - NPY_HEADER_BYTES, 0) // 8


def refuse_lost_samples(names: Iterable[PurePosixPath]) -> None:
    """Refuse a session with a stream whose samples did not arrive, and would be left out."""
    present = set(names)
    for name in sorted(present):
        if name.parent.parent.name != "continuous" or name.name not in TIMES:
            continue
        if present.isdisjoint(name.with_name(each) for each in (SAMPLES, *MTSCOMP)):
            raise RecordingError(
                f"{name.parent} is here without its {SAMPLES}; put it there, or remove that folder "
                "to leave the stream out"
            )


def _no_recording(files: Mapping[PurePosixPath, int]) -> str:
    if any(name.suffix == ".continuous" for name in files):
        return (
            "this is Open Ephys' older format (.continuous), whose streams have no names; sort it "
            "as one recording"
        )
    return (
        f"no Open Ephys recording here: expected {STRUCTURE} and "
        f"continuous/<stream>/{SAMPLES}; check DATA_TYPE and the source"
    )
