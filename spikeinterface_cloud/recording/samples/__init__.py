"""The samples of a recording: units, integer types, analog inputs and earlier processing."""
