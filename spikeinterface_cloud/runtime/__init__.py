"""What the container gives and demands: CPU, memory, GPU, disk, signals, log."""
