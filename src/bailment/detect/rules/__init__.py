"""Rules: detectors that a sentence explains. Beside each are its samples."""
