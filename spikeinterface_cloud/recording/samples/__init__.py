"""The values of samples: units, integer types, and processing applied before."""
