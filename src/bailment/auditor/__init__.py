"""The outsider's side: verify a log, decide every access in it again, check a recipient's view."""
