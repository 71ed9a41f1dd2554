"""Opening what was fetched as a recording, and checking it before it is sorted."""
