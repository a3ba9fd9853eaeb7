"""Notices misuse: pure detectors over the records of the log."""
