"""Find, fetch, open and check the recording.

Throughout, a source that is missing or forbidden raises `SourceError`; data that cannot be read or
sorted `RecordingError`; a variable that has to be set or corrected `SettingsError`; a package,
filter or disk space that is missing here `UnavailableError`. Docstrings name other errors only.
"""
