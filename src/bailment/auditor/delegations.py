"""The delegations in a recipient's view: whether the right party signed each, and whom it names."""

from __future__ import annotations

import msgspec

from bailment.access import attestation, jws
from bailment.access import jwk as jwks
from bailment.access.chain import GRANTORS, Link, commit_person, read_link
from bailment.access.jwk import PublicKey
from bailment.access.signing_in import commit_account
from bailment.auditor.findings import Findings, Kind
from bailment.errors import FormatError, VerificationError
from bailment.ledger.identity_records import PersonSignedIn
from bailment.ledger.records import DelegationGranted, EnrolmentRequested


class Delegations:
    """Takes them in log order. `named` counts the people whose name is the one that was signed.

    `admin` is the recipient's own key, if it says which that is.
    """

    def __init__(self, findings: Findings, admin: PublicKey | None) -> None:
        self.named = 0
        self._findings = findings
        self._admin = admin
        self._links: dict[str, Link] = {}
        self._people: dict[str, list[dict[str, str]]] = {}  # as they were named, link by link

    def granted(self, index: int, facts: DelegationGranted, personal: bytes | None) -> None:
        """Check one; `personal` is the JSON of who the person is, where that is shown."""
        try:
            link = read_link(facts.link)
            refused = self._refused(link, facts.link)
        except FormatError as error:
            refused = str(error)
        if refused:
            self._findings.add(index, Kind.BAD_LINK, refused)
            return
        self._links[link.id] = link
        if personal is not None and link.personal:
            self._name(index, link, personal)

    def _refused(self, link: Link, compact: str) -> str:
        if link.kind == "recipient":
            ours = self._admin is None or link.key == self._admin.jwk
            return "" if ours else "the organisation's link is for another key than its admin's"
        key = self._grantor(link.parent)
        if key is not None and jws.verify(jws.parse(compact), key):
            return ""
        return f"the {link.kind}'s link is not signed by the delegating party"

    def _grantor(self, parent: str) -> PublicKey | None:
        """The key of the nearest organisation above."""
        above = self._links.get(parent)
        while above is not None and above.kind not in GRANTORS:
            above = self._links.get(above.parent)
        return jwks.parse(above.key) if above is not None and above.key is not None else None

    def signed_in(self, index: int, facts: PersonSignedIn, personal: bytes) -> None:
        """Check that the account is the one committed to, and one by which its admin named the
        person; nothing can be said where that is not shown."""
        names = self._people.get(facts.person)
        if names is None:
            return
        told = _read(personal)
        sub, email = told.get("sub", ""), told.get("email", "").casefold()
        known = any(
            sub == one.get("subject") or (email and email == one.get("email", "").casefold())
            for one in names
        )
        committed = commit_account(facts.issuer, sub, names[0].get("salt", "")) == facts.account
        if not (known and committed):
            self._findings.add(
                index,
                Kind.ALTERED_PERSONAL,
                f"`{facts.person}` signed in with another account than the delegating party named",
            )

    def enrolled(
        self, index: int, facts: EnrolmentRequested, personal: bytes | None, time: int
    ) -> None:
        """Check what is said of where a device's key lives; and who vouches for its TPM, where that
        is shown."""
        try:
            refused = attestation.believed(facts, jwks.parse(facts.key))
            if refused is not None:
                raise VerificationError(refused.detail)
            if personal is not None:
                attestation.check_shown(facts, _read(personal), time)
        except (FormatError, VerificationError) as error:
            sentence = f"the key of the device `{facts.device}`: {error}"
            self._findings.add(index, Kind.BAD_ATTESTATION, sentence)

    def _name(self, index: int, link: Link, personal: bytes) -> None:
        named = _read(personal)
        if commit_person(named) == link.personal:
            if link.kind == "person":
                self.named += 1
                self._people.setdefault(link.subject, []).append(named)
            return
        self._findings.add(
            index,
            Kind.ALTERED_PERSONAL,
            f"the person `{link.subject}` is named otherwise than the delegating party signed",
        )


def _read(personal: bytes) -> dict[str, str]:
    """A personal part; empty where it is none."""
    try:
        return msgspec.json.decode(personal, type=dict[str, str])
    except msgspec.DecodeError:
        return {}
