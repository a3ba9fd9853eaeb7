"""The way from a request to the model and back; `journey` reads top to bottom."""
