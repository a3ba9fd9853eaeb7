"""What training and evaluating detectors have in common."""
