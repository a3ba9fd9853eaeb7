"""What admins signed: a declaration of custody, that a notice was read, that it was not them.

Each such record has the DPoP proof of the request that it is from. It must be by the key of the
organisation that the record names, for that very request, and for one record only.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import Any

from msgspec import UNSET, UnsetType

from bailment import canonical
from bailment.access.chain import Link
from bailment.access.proof import (
    Proof,
    check_body,
    check_key,
    check_request,
    read_proof,
    replay_key,
)
from bailment.access.reasons import Refused
from bailment.access.register import Register
from bailment.access.signing_in import organisation_of
from bailment.auditor.findings import Findings, Kind
from bailment.errors import FormatError
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import CustodyDeclared, NoticeAcknowledged
from bailment.spec.detection import REPORTED

#: The members of a declaration that need not be said.
_UNSAID: dict[str, Any] = {
    "kind": "system",
    "runs": "",
    "reached": [],
    "stored": [],
    "since": 0,
    "ended": False,
}


class SignedRequests:
    """Over one register; remembers which proofs were used."""

    def __init__(self, register: Register, findings: Findings) -> None:
        self._register = register
        self._findings = findings
        self._used: set[bytes] = set()

    def follow(self, index: int, facts: Facts) -> None:
        """Check the entry at `index`, if it is from such a request."""
        match facts:
            case CustodyDeclared() if facts.organisation or "/" in facts.system:
                self._custody(index, facts)
            case NoticeAcknowledged():
                self._signed(index, facts.proof, "/notices", facts.organisation)
            case FindingRaised() if facts.kind == REPORTED:
                found = self._signed(index, facts.proof, "/misuse")
                name = (facts.subject or "").partition(":")[2]
                path = self._register.path(self._register.link_of.get(name, ""))
                if found and found[0].subject not in [link.subject for link in path]:
                    sentence = "an organisation reports what was done by another's"
                    self._findings.add(index, Kind.BAD_PROOF, sentence)

    def _custody(self, index: int, facts: CustodyDeclared) -> None:
        found = self._signed(index, facts.proof, "/custody", facts.organisation)
        if found is None:
            return
        organisation, proof = found
        body = (facts.request or "").encode()
        if check_body(proof, sha256(body).digest()) is None and self._says(
            body, facts, organisation
        ):
            return
        sentence = "the organisation signed another declaration than the one recorded"
        self._findings.add(index, Kind.ALTERED_BODY, sentence)

    def _says(self, body: bytes, facts: CustodyDeclared, organisation: Link) -> bool:
        """Whether a declaration is what is on record."""
        try:
            said = {**_UNSAID, **canonical.parse_unique(body)}
        except (FormatError, TypeError):
            return False
        own = f"{organisation.kind}:{organisation.subject}"
        handle = self._register.organisations[organisation.subject].handle
        said |= {"system": f"{handle}/{said.get('system')}", "runs": said["runs"] or own}
        return said == {
            "system": facts.system,
            "kind": facts.kind,
            "runs": facts.runs,
            "reached": list(facts.reached),
            "stored": list(facts.stored),
            "since": facts.since,
            "ended": facts.ended,
        }

    def _signed(
        self, index: int, compact: str | UnsetType, path: str, organisation: str = ""
    ) -> tuple[Link, Proof] | None:
        """Who signed the request of an entry, and by which proof; None if that is said to be
        wrong. With `organisation` it must be that one."""
        found = partial(self._findings.add, index)
        proof = read_proof("" if compact is UNSET else compact)
        if isinstance(proof, Refused):
            found(Kind.BAD_PROOF, f"an organisation's request has no proof: {proof.detail}")
            return None
        whose = organisation_of(self._register, proof.thumbprint)
        if whose is None or organisation not in ("", whose.subject):
            found(Kind.BAD_PROOF, "an organisation's request is signed by another's key")
            return None
        target = self._register.state.url + path
        refused = check_key(proof, proof.thumbprint) or check_request(
            proof, method="POST", target=target, ath=None
        )
        if refused is not None:
            found(Kind.BAD_PROOF, f"an organisation did not sign this request: {refused.detail}")
            return None
        used = replay_key(proof.thumbprint, proof.claims.jti)
        if used in self._used:
            found(Kind.REUSED_PROOF, "the proof was used before")
        self._used.add(used)
        return whose, proof
