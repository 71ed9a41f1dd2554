"""A sorter that found nothing to sort is told from one that failed."""

from collections.abc import Mapping

import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.preprocessing as spre

from spikeinterface_cloud.sorting.no_spikes import found_no_spikes

RATE_HZ = 30_000.0

#: the ends of tracebacks of the sorters of the images, on ten seconds of noise or a few spikes
FEW_SPIKES = {
    "kilosort4": "ValueError: n_samples=3 should be >= n_clusters=6.",
    "kilosort4 on zeros": "ValueError: Found array with 0 sample(s) (shape=(0, 61)) while a "
    "minimum of 1 is required by TruncatedSVD.",
    "kilosort4 later": "ValueError: No spikes detected, cannot continue sorting.",
    "tridesclous2": '  File "/x/sortingcomponents/peak_selection.py", line 85, in select_peaks\n'
    "    peak_indices = select_peak_indices(peaks, method=method)\n"
    "  IndexError: index -2 is out of bounds for axis 0 with size 1",
    "tridesclous2 on zeros": "    factor = all_peaks.size / peaks.size\n"
    "  ZeroDivisionError: division by zero",
    "spykingcircus2 on zeros": "AssertionError: Prototype should have a negative peak",
    "simple on zeros": "ValueError: Found array with 0 sample(s) (shape=(0, 75)) while a minimum "
    "of 1 is required by TruncatedSVD.",
}

OTHER_FAILURES = [
    "ModuleNotFoundError: No module named 'torch'",
    "ImportError: libcudnn.so.9: cannot open shared object file",
    "OSError: [Errno 28] No space left on device",
    "FileNotFoundError: [Errno 2] No such file or directory: 'recording.dat'",
    "ValueError: cannot use the device, as the CUDA driver is too old",
    "RuntimeError: Found no NVIDIA driver on your system.",
    "RuntimeError: CUDA error: device-side assert triggered",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.",
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 2.00 GiB for an array",
    "MemoryError",
    "TypeError: run() got an unexpected keyword argument 'nt'",
    "AttributeError: module 'numpy' has no attribute 'float'",
    "concurrent.futures.process.BrokenProcessPool: A process was terminated abruptly",
    "ImportError: no numba\n\nDuring handling of the above exception, another exception "
    "occurred:\n\nValueError: no engine",
    "ValueError: No spikes detected\n\nDuring handling of the above exception, another exception "
    "occurred:\n\nMemoryError",
    "AssertionError",
    "Killed",
    "",
]


def trace_of(error: str) -> str:
    return f"Traceback (most recent call last):\n  File ...\n  {error}"


def recording(spikes_at_s: Mapping[float, int], duration_s: float = 10.0) -> si.BaseRecording:
    """Return noise of 5 uV, with a spike of 60 uV on the given channel at each time."""
    generator = np.random.default_rng(0)
    samples = generator.normal(0.0, 5.0, size=(int(duration_s * RATE_HZ), 4)).astype("float32")
    shape = -60.0 * np.exp(-(((np.arange(40) - 15) / 4.0) ** 2)).astype("float32")
    for time_s, channel in spikes_at_s.items():
        start = int(time_s * RATE_HZ)
        samples[start : start + len(shape), channel] += shape
    noise = si.NumpyRecording([samples], RATE_HZ)
    return spre.highpass_filter(noise, freq_min=150.0)


@pytest.mark.parametrize("error", OTHER_FAILURES)
def test_errors_of_the_machine_are_failures_even_on_noise(error: str) -> None:
    assert not found_no_spikes(trace_of(error), recording({}))


@pytest.mark.parametrize("sorter", sorted(FEW_SPIKES))
def test_errors_of_sorters_on_noise_are_no_failures(sorter: str) -> None:
    trace = trace_of(FEW_SPIKES[sorter])
    assert found_no_spikes(trace, recording({}))
    assert found_no_spikes(trace, recording({1.5: 0, 4.5: 2, 7.5: 2}))


def test_errors_of_sorters_are_failures_where_there_are_spikes() -> None:
    unit = recording({0.1 + 0.3 * n: 1 for n in range(32)})
    assert not any(found_no_spikes(trace_of(error), unit) for error in FEW_SPIKES.values())


def test_other_errors_are_failures_with_a_unit_of_a_quarter_of_a_hertz() -> None:
    quiet = recording({0.5 + 4.0 * n: 1 for n in range(15)}, duration_s=60.0)
    trace = trace_of("IndexError: list index out of range")
    assert found_no_spikes(trace, recording({}))
    assert not found_no_spikes(trace, quiet)
