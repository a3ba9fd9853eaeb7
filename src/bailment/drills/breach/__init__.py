"""The breach, replayed: attackers against a running issuer, or against the same code in a lab."""
