"""The results folder and `run.json`: names, record, publishing, lock, resuming."""
