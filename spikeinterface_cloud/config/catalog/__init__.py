"""What SpikeInterface offers: readers, sorters, preprocessing steps and their parameters."""
