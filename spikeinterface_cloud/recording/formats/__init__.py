"""File formats: their readers, their streams and the files that belong to a recording."""
