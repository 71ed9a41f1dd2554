"""Jobs on AWS Batch, as seen from a laptop: requests, states, logs and results."""
