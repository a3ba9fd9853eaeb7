"""Answers misuse: how far it reached, what contains it, whom to tell and when."""
