"""The demonstration and, later, the drills against the breach."""
