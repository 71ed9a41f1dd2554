"""Tell a sorter that found nothing to sort from one that failed."""

import builtins
import re

import spikeinterface as si

from spikeinterface_cloud.sorting.kilosort4_parameters import NO_SPIKES_ERRORS
from spikeinterface_cloud.sorting.spike_check import is_noise_only

#: how the sorters of the images fail on few spikes, or none, in their tracebacks
FEW_SPIKES_ERRORS = re.compile(
    "|".join(
        [
            # kilosort4; the first also simple
            *map(re.escape, NO_SPIKES_ERRORS),
            # spykingcircus2, lupin
            r"AssertionError: Prototype should have a negative peak",
            # tridesclous2
            r"all_peaks\.size / peaks\.size\n(?s:.*)ZeroDivisionError",
            r"in select_peaks\n(?s:.*)IndexError: index -2 is out of bounds",
        ]
    )
)

#: what other versions, and other sorters, may raise then: nothing of imports, files, memory, types
OF_NO_VALUES = (ArithmeticError, IndexError, ValueError)

#: so few peaks in the whole recording are no unit, if a sorter fails as on few spikes
FEW_PEAKS = 20

#: the line of a traceback that names an exception, and its message
EXCEPTION = re.compile(r"^\s*([\w.]*(?:Error|Exception|Exit|Interrupt))(:.*)?$", re.MULTILINE)

#: the causes of errors that have nothing to do with spikes, whatever their class
OF_THE_MACHINE = re.compile(r"cuda|cudnn|cublas|nvidia|\bdriver|no space left", re.IGNORECASE)


def found_no_spikes(trace: str, recording: si.BaseRecording) -> bool:
    """Return whether a sorter failed because a recording has no spikes.

    Parameters
    ----------
    trace
        the traceback, or the output of the sorter
    recording
        what it sorted, high-pass filtered
    """
    known = FEW_SPIKES_ERRORS.search(trace) is not None
    kinds = (*OF_NO_VALUES, AssertionError) if known else OF_NO_VALUES
    return raises_only(trace, kinds) and is_noise_only(recording, FEW_PEAKS if known else 0)


def raises_only(trace: str, kinds: tuple[type[Exception], ...]) -> bool:
    r"""Return whether all exceptions of a traceback are of these kinds, and not of the machine.

    >>> raises_only("Traceback ...\n  ZeroDivisionError: division by zero", (ArithmeticError,))
    True
    >>> raises_only("Traceback ...\n  RuntimeError: no CUDA device", (RuntimeError,))
    False
    """
    exceptions = EXCEPTION.findall(trace)
    return bool(exceptions) and all(
        _is_one_of(name, kinds) and not OF_THE_MACHINE.search(message)
        for name, message in exceptions
    )


def _is_one_of(name: str, kinds: tuple[type[Exception], ...]) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, kinds)
