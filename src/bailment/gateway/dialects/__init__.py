"""The model APIs the gateway speaks, one file each."""
