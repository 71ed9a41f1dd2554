"""What a job will cost and how long it will take, before it is submitted."""
