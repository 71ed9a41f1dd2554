"""The options of the command line. Needs nothing but click."""
