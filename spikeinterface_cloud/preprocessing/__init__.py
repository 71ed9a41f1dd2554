"""SpikeInterface's preprocessing pipeline, and the one binary file that every sorter reads."""
