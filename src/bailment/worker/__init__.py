"""Looks for misuse beside the process that serves: reads the log, writes nothing but findings."""
