"""Why a job does not start: what is asked of AWS, and what the answers mean."""
