"""SpikeInterface Cloud: sort extracellular recordings in the cloud, one container a job."""

__version__ = "0.1.0"
