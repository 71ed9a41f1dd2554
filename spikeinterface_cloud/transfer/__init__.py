"""Moving recordings and results between S3, HTTP servers and this machine, verified."""
