"""The cost and the duration of a job, estimated before it is submitted."""
