"""The start of a job: its options, and its settings before anything heavy is imported."""
