"""The time of each sample, on the clock of the recording."""
