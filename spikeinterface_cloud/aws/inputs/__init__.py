"""Which jobs the options mean."""
