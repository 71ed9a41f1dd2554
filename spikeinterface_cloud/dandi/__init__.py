"""Finding an asset in a DANDI archive by any of its names."""
