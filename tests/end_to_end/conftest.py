"""Recordings with known spikes, and servers, that several modules of whole jobs share."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from spikeinterface.core import BaseRecording, BaseSorting, NumpyRecording

from tests.support.dandi_stand_in import DandiStandIn
from tests.support.fault_proxy import FaultProxy
from tests.support.recordings import AP_GAIN_UV, neuropixels_probe, quantize, simulate
from tests.support.servers import S3Server

#: SpikeInterface cannot save where simulated traces come from, and need not
UNSAVED_PROVENANCE = pytest.mark.filterwarnings("ignore:The extractor is not serializable")


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    """A recording, and the spikes that are in it."""

    recording: BaseRecording
    truth: BaseSorting


@pytest.fixture(scope="session")
def simulated() -> Simulated:
    """Ten seconds of three units that the quick sorters find."""
    recording, truth = simulate(duration_s=10.0, n_channels=16, n_units=3, seed=1)
    return Simulated(recording=recording, truth=truth)


@pytest.fixture(scope="session")
def noise() -> BaseRecording:
    """Ten seconds in which there is nothing but the noise of 16 contacts."""
    samples = np.random.default_rng(0).normal(0.0, 10.0, size=(300_000, 16)).astype("float32")
    recording = NumpyRecording([samples], sampling_frequency=30000.0)
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    recording.set_probe(neuropixels_probe(16))
    return quantize(recording, AP_GAIN_UV)


@pytest.fixture(scope="module")
def s3_proxy(moto_s3: S3Server) -> Iterator[FaultProxy]:
    """moto's server behind a proxy that records what a module's jobs ask of it."""
    with FaultProxy(moto_s3.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def archive() -> Iterator[DandiStandIn]:
    """A DANDI archive for one module."""
    with DandiStandIn() as running:
        yield running
