"""One sorter in a process of its own."""
