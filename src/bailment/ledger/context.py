"""Where a request came from, as the record of an access or a refusal tells it to detectors.

Neither address nor header is here, but what tables and readers made of them. Hashes are keyed with
a secret of the issuer's, so that an auditor may compare them and nobody can look them up.
"""

from __future__ import annotations

import msgspec


class Context(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is not known is left at its default.

    asn            the autonomous system that announces the address
    country        of the address, ISO 3166-1 alpha-2
    address        what kind it is: `hosting`, `vpn`, `tor`, or empty
    prefix         keyed hash of the address's /24 (IPv4) or /48 (IPv6)
    client         the name of the SDK or program
    version        its version
    system         operating system and processor, as the SDK says them
    runtime        language and its version
    tls            fingerprint of the TLS handshake (JA4); nothing fills it yet
    workspace      keyed hash of system prompt and tools
    conversation   keyed hash of workspace and first message
    """

    asn: int = 0
    country: str = ""
    address: str = ""
    prefix: str = ""
    client: str = ""
    version: str = ""
    system: str = ""
    runtime: str = ""
    tls: str = ""
    workspace: str = ""
    conversation: str = ""

    @property
    def network(self) -> str:
        """What stands for the network: `AS64500`, or the hashed prefix where no table has it."""
        return f"AS{self.asn}" if self.asn else self.prefix
