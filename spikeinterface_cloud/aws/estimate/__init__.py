"""What a job costs, and how long it takes, before it is submitted."""
