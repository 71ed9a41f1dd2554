"""A session: its streams together, on one clock."""
