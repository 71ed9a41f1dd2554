"""Jobs on AWS Batch: requests, submission, states, logs and results."""
