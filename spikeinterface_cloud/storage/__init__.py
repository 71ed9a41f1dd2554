"""Bytes to and from S3 and HTTP, verified."""
