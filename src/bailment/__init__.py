"""Controlled distribution of restricted AI models: specify, verify, enforce, log."""

__version__ = "0.1.0"
