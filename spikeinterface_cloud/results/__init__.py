"""The results folder and `run.json`: names, record, publishing, lock, resuming.

Writing to the results folder raises UnavailableError (the disk is full); writing to the target
raises TargetError or TransferError, and reading it SourceError or TransferError.
"""
