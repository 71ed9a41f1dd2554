"""Files that hold only the field potential, recognized by their names.

They contain no spikes, and a reader that finds no other file beside the header would read one at
the rate of the wideband.
"""

import re
from collections.abc import Sequence
from pathlib import PurePath, PurePosixPath

from spikeinterface_cloud.errors import RecordingError

#: Neuroscope's .lfp and .eeg, Axona's .eeg and .egf with their numbers, SpikeGLX's and IBL's .lf,
#: and Blackrock's files of 500, 1000 and 2000 Hz
LFP_FILE = re.compile(
    r".+(?:\.(?:lfp|eeg\d*|egf\d*)|\.lf\.(?:[\w-]+\.)?(?:bin|meta|cbin|ch|dat)|\.ns[123])",
    re.IGNORECASE,
)

#: formats with samples in a file beside the header: the endings of both
WIDEBAND_ENDINGS = {"neuroscope": ".dat", "axona": ".bin"}
HEADER_ENDINGS = {"neuroscope": ".xml", "axona": ".set"}


def is_lfp_file(file: PurePath) -> bool:
    """Return whether a file is named as a field potential.

    >>> from pathlib import PurePosixPath
    >>> is_lfp_file(PurePosixPath("day1/session.eeg"))
    True
    """
    return LFP_FILE.fullmatch(file.name) is not None


def refuse_lfp_file(file: PurePath) -> None:
    """Raise `RecordingError` if the file that is the source is a field potential."""
    if not is_lfp_file(file):
        return
    if ".lf." in file.name:
        other = f"{file.name.replace('.lf.', '.ap.')} or the folder of the recording"
    else:
        other = "the wideband file (Neuroscope: .dat, Axona: .set, Blackrock: .ns4 to .ns6)"
    raise RecordingError(
        f"{file.name} is the LFP band, which contains no spikes; name {other} as the source"
    )


def refuse_lfp_alone(data_type: str, names: Sequence[PurePosixPath]) -> None:
    """Raise `RecordingError` if a source has no wideband file, or lacks its header.

    Parameters
    ----------
    names
        the files of the source
    """
    if data_type == "blackrock":
        _refuse_slow_blackrock(names)
    if data_type not in WIDEBAND_ENDINGS:
        return
    wideband, header = WIDEBAND_ENDINGS[data_type], HEADER_ENDINGS[data_type]
    present = {name.with_suffix(name.suffix.lower()) for name in names}
    headers = [name for name in names if name.suffix.lower() == header]
    samples = [name for name in names if name.suffix.lower() == wideband]
    if samples and not headers:
        raise RecordingError(
            f"{samples[0].name} cannot be read without {samples[0].with_suffix(header).name}; put "
            "that beside it, and name their folder as the source"
        )
    for name in headers:
        if name.with_suffix(wideband) not in present and len(headers) == 1:
            raise RecordingError(_missing_wideband(name, wideband, names))


def _missing_wideband(header: PurePath, wideband: str, names: Sequence[PurePosixPath]) -> str:
    expected = header.with_suffix(wideband).name
    others = [name.name for name in names if name.suffix.lower() == wideband]
    if others:
        return (
            f"{header.name} belongs to {expected}, which is missing; found {', '.join(others[:3])};"
            " give the header and its samples the same name"
        )
    lfp = [name.name for name in names if is_lfp_file(name)]
    found = f", found only {', '.join(lfp[:3])} (LFP, which contains no spikes)" if lfp else ""
    return (
        f"the samples of {header.name} are missing: expected {expected}{found}; put {expected} "
        "beside it"
    )


def _refuse_slow_blackrock(names: Sequence[PurePosixPath]) -> None:
    samples = [name for name in names if re.fullmatch(r"\.ns\d", name.suffix.lower())]
    if samples and all(is_lfp_file(name) for name in samples):
        raise RecordingError(
            f"there is only LFP here, at 2000 Hz or less: {', '.join(n.name for n in samples[:3])}"
            "; put the file with the spikes (.ns4, .ns5 or .ns6) beside it"
        )
