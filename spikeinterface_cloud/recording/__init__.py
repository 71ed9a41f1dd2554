"""Find, fetch, open and check the recording."""
