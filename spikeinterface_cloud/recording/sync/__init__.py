"""Digital lines and sync lines of a stream: when they rose and fell, on the stream's own clock."""
