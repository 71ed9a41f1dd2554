"""Whether Intan's files of samples beside an info.rhd or info.rhs are whole, and all there.

neo takes the shortest file for the length of the recording, and pairs the files of channels with
the header by their order.
"""

from pathlib import Path

from neo.rawio import IntanRawIO

from spikeinterface_cloud.errors import RecordingError

COPY_AGAIN = "copy the folder again from the acquisition computer"

SAMPLE_BYTES, TIME_BYTES = 2, 4


def check_intan_files(reader: IntanRawIO) -> None:
    """Raise `RecordingError` if a file of the amplifier is missing, or is not as long as time.dat.

    Recordings of one file have its length in it.
    """
    folder = Path(reader.filename).parent
    times = folder / "time.dat"
    if reader.file_format == "header-attached" or not times.is_file():
        return
    n_samples = times.stat().st_size // TIME_BYTES
    names = _amplifier_channels(reader)
    if reader.file_format == "one-file-per-signal":
        expected = {"amplifier.dat": n_samples * SAMPLE_BYTES * len(names)}
    else:
        expected = {f"amp-{name}.dat": n_samples * SAMPLE_BYTES for name in names}
        _refuse_others(folder, set(expected))
        _refuse_another_order(names)
    for name, n_bytes in expected.items():
        file = folder / name
        if not file.is_file():
            raise RecordingError(f"{name} is missing, whose channel is in the header; {COPY_AGAIN}")
        if (size := file.stat().st_size) != n_bytes:
            raise RecordingError(
                f"{name} has {size} bytes, but time.dat has {n_samples} samples, for which it "
                f"would have {n_bytes}; {COPY_AGAIN}"
            )


def _amplifier_channels(reader: IntanRawIO) -> list[str]:
    streams = {
        str(stream["id"])
        for stream in reader.header["signal_streams"]
        if str(stream["name"]).endswith("000 amplifier channel")
    }
    channels = reader.header["signal_channels"]
    return [str(each["id"]) for each in channels if str(each["stream_id"]) in streams]


def _refuse_others(folder: Path, expected: set[str]) -> None:
    """Refuse files that neo would take for channels of the amplifier."""
    found = {file.name for file in folder.glob("**/*.dat") if "amp" in file.name}
    if others := sorted(found - expected):
        raise RecordingError(
            f"{others[0]} is none of the channels in the header, and would be read as one; move it "
            "out of the folder"
        )


def _refuse_another_order(names: list[str]) -> None:
    """Refuse a header that lists channels in another order than that of the names of files."""
    if names != sorted(names):
        first = next(
            name for name, other in zip(names, sorted(names), strict=True) if name != other
        )
        raise RecordingError(
            f"the header lists the channels in another order than that of their names (the first "
            f"is {first}), and the reader (neo) pairs them with the sorted files; open it with "
            "SpikeInterface's read_intan, give the samples their names with recording = recording."
            "rename_channels(sorted(recording.channel_ids)), save that with recording.save("
            "folder=...), and set DATA_TYPE=binary"
        )
