"""Sign-ins at the employer's identity provider: what they must say to count, and for whom.

A person is known to the provider by an account. What the log has of that is a commitment, salted
with the salt of the person's own link, so that a later sign-in can be held against the first, and
nothing is left of it once the person was erased.
"""

from __future__ import annotations

import re
from hashlib import sha256
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from bailment import canonical
from bailment.access.alive import alive
from bailment.access.chain import GRANTORS, Link
from bailment.access.proof import check_body, check_key, check_request, check_time, read_proof
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed
from bailment.errors import FormatError
from bailment.ledger.identity_records import PersonSignedIn, ProviderRegistered
from bailment.spec.conditions import CallerTerms

PROVIDERS_PATH = "/providers"
#: How we prove to a provider that we are its client (OpenID Connect Core 1.0, section 9).
Auth = Literal["none", "private_key_jwt", "client_secret_basic"]
AUTHS = ("none", "private_key_jwt", "client_secret_basic")
CLAIMS = ("sub", "email")
#: Methods and contexts that resist phishing: OpenID Connect EAP ACR Values 1.0, RFC 8176, and what
#: providers say of passkeys. `mfa` is not among them, for that may be a code by SMS.
RESISTANT = frozenset({"hwk", "fido", "phr", "phrh"})

_ACCOUNT = b"bailment.account.v1\0"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CLIENT = re.compile(r"[!-~]{1,256}")


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /providers`: what an organisation's admin says of the provider; an empty issuer ends
    it."""

    organisation: str
    issuer: str
    client: str
    claim: Literal["sub", "email"]
    auth: Auth


def registration_body(registration: Registration) -> bytes:
    """The one body that says it, which the admin's proof is made over."""
    return canonical.encode(registration)


def commit_account(issuer: str, sub: str, salt: str) -> str:
    """What the log has of a person's account at a provider; `salt` is that of the person's link."""
    account = {"issuer": issuer, "salt": salt, "sub": sub}
    return sha256(_ACCOUNT + canonical.encode(account)).hexdigest()


def check_issuer(url: str) -> None:
    """FormatError unless it can be a provider's issuer (OpenID Connect Discovery 1.0, section 3).

    Plain http is for a demonstration's on this machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise FormatError(f"`{url[:200]}` is no URL") from None
    whole = host and parts.username is None and not (parts.query or parts.fragment)
    if not whole or len(url) > 512 or not re.fullmatch(r"[!-~]+", url) or "\\" in url:
        raise FormatError(f"`{url[:200]!a}` is not like https://login.example")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise FormatError(f"`{url[:200]}` is not https")


def resists_phishing(acr: str, amr: tuple[str, ...]) -> bool:
    """Whether somebody signed in by what cannot be handed to a phisher."""
    return not RESISTANT.isdisjoint({acr, *amr})


def how_signed_in(register: Indexed, path: list[Link]) -> str | UnsetType:
    """What a token's record says of its person's last sign-in; nothing of a workload."""
    link = next((link for link in path if link.kind == "person"), None)
    found = last_sign_in(register, link.subject, link.id) if link is not None else None
    if found is None:
        return UNSET
    return "resistant" if resists_phishing(found.acr, found.amr) else "other"


def employer(register: Indexed, link_id: str) -> Link | None:
    """The nearest organisation above: where people named by it sign in."""
    above = (link for link in reversed(register.path(link_id)) if link.kind in GRANTORS)
    return next(above, None)


def provider_of(register: Indexed, link_id: str) -> ProviderRegistered | None:
    """The provider at which the person of a link signs in, if there is one."""
    organisation = employer(register, link_id)
    found = register.state.providers.get(organisation.subject) if organisation else None
    return found if found is not None and found.issuer else None


def last_sign_in(register: Indexed, person: str, link_id: str) -> PersonSignedIn | None:
    """A person's last sign-in, if it was at the provider that the employer has now."""
    found, provider = register.state.signed_in.get(person), provider_of(register, link_id)
    same = found is not None and provider is not None and found.issuer == provider.issuer
    return found if same else None


def organisation_of(register: Indexed, thumbprint: str) -> Link | None:
    """The organisation whose admin has this key: the newest, as no two that live share one."""
    for link in reversed(register.links.values()):
        if link.kind in GRANTORS and link.key and register.key(link.key).thumbprint == thumbprint:
            return register.links[register.link_of[link.subject]]
    return None


def terms_of(register: Indexed, link_id: str) -> CallerTerms:
    """The strictest terms among the models that a chain reaches; a canary has none."""
    named = [set(link.models) for link in register.path(link_id) if link.models]
    state = register.state
    ranks = [
        state.tiers.get(model, 0)
        for model in (set.intersection(*named) if named else ())
        if model in state.models and state.models[model].canary is not True
    ]
    return register.conditions.caller(max(ranks, default=0))


def unsigned(register: Indexed, invitation: str, key: dict[str, str]) -> Refused | None:
    """Why a device with this key may not enrol by an invitation yet: its person has to sign in."""
    found = register.state.invitations[invitation]
    if provider_of(register, found.link) is not None:
        if found.key is not UNSET and found.key == register.key(key).thumbprint:
            return None
        return Refused(
            Reason.SIGN_IN_NEEDED,
            "the person has not signed in at the employer's provider for this device's key",
        )
    terms = terms_of(register, found.link)
    if terms.sign_in_ms or terms.acr:
        return Refused(
            Reason.SIGN_IN_NEEDED,
            "the organisation has no identity provider, and the spec asks for sign-ins at one: its "
            "admin registers it with `bailment recipient provider`",
        )
    return None


# The rules of the records


def registered(register: Indexed, facts: ProviderRegistered, now: int) -> Refused | None:
    """Whether the organisation's admin registers this provider, and its chain stands."""
    link = register.links.get(register.link_of.get(facts.organisation, ""))
    if link is None or link.kind not in GRANTORS or link.key is None:
        return Refused(Reason.LINK_UNKNOWN, "there is no such organisation")
    if facts.claim not in CLAIMS or facts.auth not in AUTHS:
        return _wrong("a person is known by `sub` or `email`, and we by one of " + ", ".join(AUTHS))
    if facts.issuer:
        try:
            check_issuer(facts.issuer)
        except FormatError as error:
            return _wrong(str(error))
        if not _CLIENT.fullmatch(facts.client):
            return _wrong("a client's id is 1 to 256 printable ASCII characters")
    # A hold on the organisation may be for its admin's key.
    return alive(register, link.id, now) or _said(
        register, facts, register.key(link.key).thumbprint, now
    )


def _said(
    register: Indexed, facts: ProviderRegistered, thumbprint: str, now: int
) -> Refused | None:
    """Whether the admin's proof is over just this."""
    said = Registration(facts.organisation, facts.issuer, facts.client, facts.claim, facts.auth)  # type: ignore[arg-type]
    digest = sha256(registration_body(said))
    proof = read_proof(facts.proof)
    if isinstance(proof, Refused):
        return proof
    if facts.body != digest.hexdigest():
        return Refused(Reason.PROOF_BODY, "the admin's proof is over something else")
    policy = register.policy
    return (
        check_key(proof, thumbprint)
        or check_request(proof, method="POST", target=register.state.url + PROVIDERS_PATH, ath=None)
        or check_time(proof, now_ms=now, lifetime_ms=policy.proof_ms, skew_ms=policy.skew_ms)
        or check_body(proof, digest.digest())
    )


def signed_in(register: Indexed, facts: PersonSignedIn, now: int) -> Refused | None:
    """Whether this sign-in is the person's: at the employer's provider, just now, by the account
    that signed in before, and for an invitation or a device of that person."""
    invitation = register.state.invitations.get(facts.invitation)
    link_id = invitation.link if invitation is not None else register.link_of.get(facts.person, "")
    link = register.links.get(link_id)
    if link is None or (link.kind, link.subject) != ("person", facts.person):
        return Refused(Reason.LINK_UNKNOWN, "there is no such person")
    provider = provider_of(register, link_id)
    if provider is None or provider.issuer != facts.issuer:
        return _wrong("the sign-in was not at the employer's provider")
    if not all(map(_DIGEST.fullmatch, (facts.token, facts.account))):
        return _wrong("the sign-in has no digest of its token, or of the account")
    skew = register.policy.skew_ms
    if not now - register.policy.invitation_ms - skew <= facts.auth_time <= now + skew:
        return _wrong("the sign-in is not of just now")
    before = register.state.signed_in.get(facts.person)
    if before is not None and before.issuer == facts.issuer:
        if before.token == facts.token or facts.auth_time < before.auth_time:
            return _wrong("the sign-in is on record already, or a later one is")
        if before.account != facts.account:
            return _wrong("the person signed in with another account before")
    if facts.invitation:
        if invitation is None or invitation.used or now >= invitation.until:
            return _wrong("the invitation is unknown, used or expired")
    elif not _has_device(register, facts):
        return _wrong("the person has no device of this key")
    return alive(register, link_id, now)


def _has_device(register: Indexed, facts: PersonSignedIn) -> bool:
    """Whether the person has an enrolled and confirmed device with the key that asked."""
    for device in register.state.devices.values():
        path = register.path(register.link_of.get(device.device, ""))
        theirs = len(path) > 1 and path[-2].subject == facts.person
        if theirs and register.key(device.key).thumbprint == facts.key:
            return True
    return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)
