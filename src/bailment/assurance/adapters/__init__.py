"""One file for each format of evidence: bytes in, a `Report` or the reason why not out."""
