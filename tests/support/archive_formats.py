"""One recording in the formats of the public archives."""

from dataclasses import dataclass
from pathlib import Path

from spikeinterface.core import BaseRecording, BaseSorting
from wavpack_numcodecs import WavPack

from spikeinterface_cloud.preprocessing.pipeline import preprocess
from spikeinterface_cloud.recording.load import open_recording
from tests.support.acquisition_formats import write_cbin
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import simulate, write_spikeglx

#: each format, with the DATA_TYPE that reads it
DATA_TYPES = {
    "binary": "binary",
    "wavpack": "zarr",
    "nwb": "nwb",
    "nwb_zarr": "nwb",
    "cbin": "cbin_ibl",
}

#: of which the first needs the sampling shifts that every format keeps
STEPS = {"phase_shift": {}, "highpass_filter": {"freq_min": 150.0}}

NWB = NwbLayout(with_sample_shifts=True, with_lfp=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenFormats:
    """The recording as SpikeGLX wrote it, and a copy in each format."""

    recording: BaseRecording
    folder: Path

    def path(self, name: str) -> Path:
        """Return the file or folder of a format."""
        return self.folder / _NAMES[name]


#: a file or folder for each format, as their archives name them
_NAMES = {
    "binary": "saved",
    "wavpack": "experiment1_Record Node 104#Neuropix-PXI-100.ProbeA-AP.zarr",
    "nwb": "sub-1_ecephys.nwb",
    "nwb_zarr": "sub-1_ecephys.nwb.zarr",
    "cbin": "raw_ephys_data/probe00",
}


def simulate_briefly() -> tuple[BaseRecording, BaseSorting]:
    """Return five seconds, which are enough for `simple`, and the three true units."""
    return simulate(duration_s=5.0, n_channels=16, n_units=3, seed=1)


def take_steps(written: WrittenFormats, folder: Path) -> bytes:
    """Return the samples that are sorted."""
    result = preprocess(written.recording, STEPS, {"simple": {}}, folder)
    return bytes(result.for_sorting.get_traces().tobytes())


def write_formats(folder: Path, simulated: BaseRecording) -> WrittenFormats:
    """Write a recording as SpikeGLX does, and from there in every format."""
    run = write_spikeglx(folder, simulated)
    recording = open_recording(run, "spikeglx", {})
    written = WrittenFormats(recording=recording, folder=folder)
    recording.save(folder=written.path("binary"), format="binary", progress_bar=False)
    recording.save(
        folder=written.path("wavpack"),
        format="zarr",
        compressor=WavPack(level=3),
        filters=None,
        progress_bar=False,
    )
    write_nwb(written.path("nwb"), recording, NWB)
    write_nwb(written.path("nwb_zarr"), recording, NWB)
    write_cbin(run, written.path("cbin"))
    return written
