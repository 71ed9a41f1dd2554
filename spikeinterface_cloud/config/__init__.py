"""The job's environment variables: parse, validate, write back."""
