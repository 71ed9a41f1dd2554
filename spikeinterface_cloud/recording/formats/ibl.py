"""IBL's compression of SpikeGLX: a .cbin, its index .ch and the .meta of SpikeGLX in one folder."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from spikeinterface_cloud.errors import RecordingError, SettingsError

#: the LFP's own name, and how its reader spells it
LFP_BANDS = ("lf", "lp")


def files_of_band(
    names: Sequence[PurePosixPath], kwargs: Mapping[str, object]
) -> list[PurePosixPath]:
    """The files of the AP band of the one probe among `names`.

    Raises
    ------
    RecordingError
        there is none, only an LFP is asked for, or a part of it is missing
    SettingsError
        there are several probes
    """
    band = str(kwargs.get("stream_name") or "ap")
    if band in LFP_BANDS:
        raise RecordingError(
            "READ_RECORDING_KWARGS names the LFP band, in which there are no spikes; leave "
            "stream_name out, which reads the AP band"
        )
    compressed = [name for name in names if name.suffix == ".cbin" and f".{band}." in name.name]
    if not compressed:
        others = ", ".join(name.name for name in names if name.suffix == ".cbin") or "none at all"
        raise RecordingError(
            f"there is no file of the AP band (*.{band}.cbin) here; .cbin files are {others}; "
            "name the folder of the AP band, or of an uncompressed run with DATA_TYPE=spikeglx"
        )
    if len(compressed) > 1:
        raise SettingsError(_several(compressed))
    [samples] = compressed
    parts = [samples.with_suffix(ending) for ending in (".ch", ".meta")]
    for part in parts:
        if part not in names:
            raise RecordingError(
                f"{samples} cannot be read without {part.name}; put it beside it, and name their "
                "folder"
            )
    return [samples, *parts]


def _several(compressed: Sequence[PurePosixPath]) -> str:
    listing = ", ".join(str(name) for name in compressed[:6])
    folders = {name.parent for name in compressed}
    remedy = (
        "name the folder of one of them as the source"
        if len(folders) == len(compressed)
        else "put the files of one probe (.cbin, .ch, .meta) in a folder of its own, and name it"
    )
    return f"there are {len(compressed)} compressed AP bands here: {listing}; {remedy}"
