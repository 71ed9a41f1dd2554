"""Whether recordings can be joined, by what is known before they are fetched."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from spikeinterface_cloud.config.locations import LocalFolder, Location
from spikeinterface_cloud.errors import CloudJobError, RecordingError
from spikeinterface_cloud.recording.formats.hdf5_samples import find_hdf5_samples
from spikeinterface_cloud.recording.formats.uncompressed import find_samples
from spikeinterface_cloud.storage.range_reader import ObjectChanged
from spikeinterface_cloud.storage.remote_file import RemoteFile
from spikeinterface_cloud.storage.small_objects import read_files

#: relative: the calibrated clocks of one probe differ by less, and spikes do not change by it
RATE_TOLERANCE = 1e-4

#: of SpikeGLX's meta files, with what they say in words
SPIKEGLX = {
    "nSavedChans": "number of saved channels",
    "imDatPrb_sn": "serial number of the probe",
    "imDatPrb_pn": "part number of the probe",
    "imAiRangeMax": "range in V",
    "imMaxInt": "range in steps",
    "~imroTbl": "table of electrodes, gains and references (~imroTbl)",
    "niMNGain": "gain of MN channels",
    "niMAGain": "gain of MA channels",
}
SPIKEGLX_RATES = ("imSampRate", "niSampRate", "obSampRate")

RATE = "sampling rate in Hz"

#: longer values are not shown
LONGEST_VALUE = 40

Header = Mapping[str, str | float]


@contextmanager
def about_recording(number: int, location: object) -> Iterator[None]:
    """Name the recording in errors, counted from 1."""
    try:
        yield
    except CloudJobError as error:
        name = str(location)
        message = str(error)
        shown = "" if name in message else f" ({name})"
        error.args = (f"recording {number}{shown}: {message}", *error.args[1:])
        raise


def refusal(number: int, location: object, difference: str) -> RecordingError:
    """Return the error for a recording that differs from the first one."""
    return RecordingError(
        f"recording {number} ({location}) cannot be joined with the first: {difference}; join "
        "recordings of one probe with the same settings, and sort this one by a job of its own"
    )


def rates_differ(rate_hz: float, first_hz: float) -> bool:
    """Return whether two rates differ by more than the calibrations of one clock."""
    return abs(rate_hz / first_hz - 1) > RATE_TOLERANCE


def check_distinct(locations: Sequence[Location], files: Sequence[Sequence[RemoteFile]]) -> None:
    """Refuse a recording that is listed twice, under another name or as a copy."""
    contents = [_contents(*each) for each in zip(locations, files, strict=True)]
    for number, content in enumerate(contents):
        if content is not None and content in contents[:number]:
            raise twice(number + 1, locations[number], contents.index(content) + 1)


def twice(number: int, location: object, first: int) -> RecordingError:
    """Return the error for a recording that is there twice."""
    return RecordingError(
        f"recording {number} ({location}) is the same as recording {first}, and its spikes would "
        "count twice; name each recording once"
    )


def _contents(location: Location, files: Sequence[RemoteFile]) -> object:
    if isinstance(location, LocalFolder):
        return Path(location.path).resolve()
    if not files:
        return None
    digests = [file.etag or (file.digest.value if file.digest else None) for file in files]
    if None in digests:
        return None
    return sorted(zip((file.size_bytes for file in files), map(str, digests), strict=True))


def check_remote_headers(
    locations: Sequence[Location],
    files: Sequence[Sequence[RemoteFile]],
    data_type: str | None,
    series: str | None,
) -> None:
    """Refuse remote recordings whose headers differ from those of the first.

    Parameters
    ----------
    files
        of each recording; none of a local one
    series
        the electrical series that READ_RECORDING_KWARGS names
    """
    headers = [_header(each, data_type, series) for each in files]
    for number, header in enumerate(headers[1:], 2):
        if difference := compare_headers(header, headers[0]):
            raise refusal(number, locations[number - 1], difference)


def compare_headers(header: Header, first: Header) -> str | None:
    """Return the first difference in words; None if there is none.

    >>> compare_headers({"number of channels": "32"}, {"number of channels": "64"})
    'number of channels 32 instead of 64'
    """
    for name in [name for name in header if name in first]:
        value, expected = header[name], first[name]
        if isinstance(value, float) and isinstance(expected, float):
            if rates_differ(value, expected):
                return f"{name} {value:g} instead of {expected:g}"
        elif value != expected:
            texts = (str(value), str(expected))
            if max(map(len, texts)) > LONGEST_VALUE:
                return f"another {name}"
            return f"{name} {texts[0]} instead of {texts[1]}"
    return None


def _header(files: Sequence[RemoteFile], data_type: str | None, series: str | None) -> Header:
    metas = [file for file in files if file.name.suffix == ".meta"]
    if metas:
        return read_meta(read_files(metas[:1])[0].decode(errors="replace"))
    by_name = {file.name: file for file in files}

    def read(names: Sequence[PurePosixPath]) -> list[bytes]:
        return read_files([by_name[name] for name in names])

    samples = None
    with suppress(ObjectChanged):  # the download says so
        if data_type == "nwb" and len(files) == 1:
            samples = find_hdf5_samples(files[0], series)
        elif files:
            samples = find_samples(by_name, read, series)
    if samples is None:
        return {}
    return {
        "number of channels": str(samples.n_channels),
        "bytes of a sample": str(samples.sample_bytes),
    }


def read_meta(text: str) -> Header:
    r"""Return what a meta file of SpikeGLX says that joined recordings have in common.

    >>> read_meta("imSampRate=30000\nnSavedChans=385\nuserNotes=")
    {'number of saved channels': '385', 'sampling rate in Hz': 30000.0}
    """
    pairs = dict(line.strip().split("=", 1) for line in text.splitlines() if "=" in line)
    header: dict[str, str | float] = {
        words: pairs[key] for key, words in SPIKEGLX.items() if pairs.get(key)
    }
    for key in SPIKEGLX_RATES:
        with suppress(KeyError, ValueError):
            header[RATE] = float(pairs[key])
    return header
