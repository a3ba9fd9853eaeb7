"""The recipient's side: a device key, enrolment, the signing sidecar, SDK authentication."""
