"""Sign-ins at the employer's provider, for a device that enrols and for one that has long been.

Three parties must be one person's: the device that asked (it proves its key with each call), the
browser that comes back from the provider (a cookie binds it to the state that it left with), and
the account (it must be the one that the admin named). The browser is handed a completion which only
the device can redeem: whoever lures somebody else into signing in for a device of their own never
sees it (RFC 8628, section 5.4, calls this remote phishing).

What is under way is in memory alone, bounded, and over after the policy's `invitation_ttl`.
"""

from __future__ import annotations

import secrets
from base64 import b32encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import urlencode, urlsplit

from bailment.access import jwk
from bailment.access.enrolment import code_of
from bailment.access.reasons import Reason, Refused
from bailment.access.signing_in import commit_account, provider_of, terms_of, unsigned
from bailment.clock import now_ms
from bailment.control import oidc
from bailment.control.actions import Actions, Denied
from bailment.control.oidc import Credentials, Provider, Request, SignedIn, SignInFailed
from bailment.control.outbound import Outbound
from bailment.ledger.identity_records import PersonSignedIn
from bailment.store.providers import ProviderSecrets

#: At most so many within the time that one may take: of everybody, and for one invitation.
_MOST, _MOST_EACH = 4096, 8
#: How often a completion may be guessed: it has 40 bits.
_GUESSES = 5


@dataclass(slots=True)
class Session:
    """A sign-in under way.

    id          in its URL, so as secret as an invitation
    thumbprint  of the device's key; `link` the person's, `invitation` a hash or empty
    back        the device's own listener, empty where the person types the completion
    request     what the provider was last asked, with the digest of the browser's `cookie`
    """

    id: str
    thumbprint: str
    person: str
    link: str
    organisation: str
    invitation: str
    provider: Provider
    acr: tuple[str, ...]
    until: int
    back: str = ""
    request: Request | None = None
    cookie: bytes = b""
    failure: str = ""
    hint: str = ""
    signed_in: SignedIn | None = None
    completion: str = ""
    guesses: int = 0

    @property
    def code(self) -> str:
        """The code that the device shows."""
        return code_of(self.thumbprint)

    @property
    def status(self) -> str:
        """How it stands: `waiting`, `failed`, or `signed-in`, which the device must complete."""
        if self.failure:
            return "failed"
        return "signed-in" if self.completion else "waiting"

    def fail(self, error: SignInFailed) -> None:
        """It is over; the device and the browser are told why."""
        self.failure, self.hint = str(error), error.hint
        self.completion, self.signed_in = "", None


@dataclass(slots=True)
class SignIns:
    """Begins and ends sign-ins. Raises SignInFailed where a provider or an account is at fault,
    Denied where the register is."""

    actions: Actions
    outbound: Outbound
    secrets: ProviderSecrets
    clock: Callable[[], int] = now_ms
    _sessions: dict[str, Session] = field(default_factory=dict)
    _asking: list[tuple[str, str]] = field(default_factory=list)  # whose provider is being called

    async def begin(
        self, thumbprint: str, link: str, key: dict[str, str], invitation: str, back: str
    ) -> Session | None:
        """A sign-in of a link's person for the device of this key; None where none is asked for,
        for the organisation has no provider."""
        register = self.actions.log.fold.register
        registered = provider_of(register, link)
        if registered is None:
            refused = unsigned(register, invitation, key) if invitation else None
            if refused is None and not invitation:
                refused = Refused(Reason.SIGN_IN_NEEDED, "the organisation has no provider")
            if refused is not None:
                raise Denied(refused)
            return None
        person = register.links[link].subject
        if not self._named(link, person, registered.claim):
            raise SignInFailed(
                f"your admin did not say by which {_CLAIMS[registered.claim]} the provider knows "
                "the person",
                hint="ask your admin to name the person again, with it",
            )
        with self._room((person, invitation)):
            provider = await oidc.discover(self.outbound, registered)
        session = Session(
            id=secrets.token_urlsafe(32),
            thumbprint=thumbprint,
            person=person,
            link=link,
            organisation=registered.organisation,
            invitation=invitation,
            provider=provider,
            acr=terms_of(register, link).acr,
            until=self.clock() + register.policy.invitation_ms,
            back=back,
        )
        self._sessions[session.id] = session
        return session

    def public_key(self) -> dict[str, str]:
        """That by which providers know our client assertions."""
        public = jwk.from_key(self.secrets.key().public_key())
        return {**public.jwk, "kid": public.thumbprint, "use": "sig", "alg": "ES256"}

    def find(self, name: str) -> Session | None:
        """A sign-in that is under way."""
        session = self._sessions.get(name)
        return session if session is not None and self.clock() < session.until else None

    async def leave(self, session: Session) -> tuple[str, str]:
        """Where the browser goes, and the cookie that it must come back with."""
        base = self.actions.log.fold.register.state.url
        redirect_uri = f"{base}/sign-in/callback/{session.organisation}"
        request = Request.new(redirect_uri, self.clock(), session.acr)
        url, cookie = await oidc.authorize(session.provider, request), secrets.token_urlsafe(32)
        session.request, session.cookie = request, sha256(cookie.encode()).digest()
        return url, cookie

    def returning(self, organisation: str, state: str, cookie: str) -> Session | None:
        """The sign-in with which a browser comes back, which it can once."""
        for session in self._sessions.values():
            request = session.request
            if request is not None and compare_digest(request.state.encode(), state.encode()):
                ours = compare_digest(session.cookie, sha256(cookie.encode()).digest())
                live = self.clock() < session.until and not session.failure
                if ours and live and session.organisation == organisation:
                    return session
        return None

    async def arrive(self, session: Session, query: dict[str, str]) -> str:
        """Believe what the provider sent, or raise SignInFailed; the completion."""
        request, provider = session.request, session.provider
        session.request, session.cookie = None, b""  # a state is used once
        if request is None:
            raise SignInFailed("the sign-in was not under way")
        try:
            register = self.actions.log.fold.register
            signed_in = await oidc.redeem(
                self.outbound,
                provider,
                request,
                oidc.code_of(provider, query),
                self._credentials(session),
                self.clock(),
                register.policy.skew_ms,
            )
            self._check_account(session, signed_in)
        except SignInFailed as failed:
            session.fail(failed)
            raise
        session.signed_in = signed_in
        session.completion = b32encode(secrets.token_bytes(5)).decode()
        return session.completion

    async def complete(self, session: Session, completion: str) -> PersonSignedIn:
        """The device has what the browser was handed: the sign-in is recorded."""
        signed_in, issuer = session.signed_in, session.provider.registered.issuer
        session.guesses += 1
        right = compare_digest(session.completion.encode(), completion.encode())
        if signed_in is None or not session.completion or not right:
            if session.guesses >= _GUESSES:
                session.fail(SignInFailed("a wrong completion was shown too often"))
            raise SignInFailed("that is not what the browser was shown at the end")
        session.completion = ""
        facts = PersonSignedIn(
            person=session.person,
            issuer=issuer,
            auth_time=signed_in.auth_time,
            token=signed_in.token,
            account=commit_account(issuer, signed_in.sub, self._salt(session)),
            key=session.thumbprint,
            acr=signed_in.acr,
            amr=signed_in.amr,
            invitation=session.invitation,
        )
        personal = {"issuer": issuer, "sub": signed_in.sub, "email": signed_in.email}
        await self.actions.append(lambda now: facts, person=session.person, personal=personal)
        self._sessions.pop(session.id, None)
        return facts

    def _check_account(self, session: Session, signed_in: SignedIn) -> None:
        """Whether it is the account that the admin named."""
        claim = session.provider.registered.claim
        told = signed_in.sub if claim == "sub" else signed_in.email.casefold()
        wanted = self._named(session.link, session.person, claim)
        if not told or not wanted or not compare_digest(told.encode(), wanted.encode()):
            raise SignInFailed(
                "the account that was signed in with is not the one that your admin named",
                hint="sign out at the provider and sign in with your own account there; if it is "
                "your own, ask your admin to name you by it",
            )

    def _named(self, link: str, person: str, claim: str) -> str:
        """By what the admin named a person, in the link's own record."""
        known = self.actions.people.of_link(link)
        return known.get("subject", "") if claim == "sub" else known.get("email", "").casefold()

    def _salt(self, session: Session) -> str:
        """That of the person's first link, which is the same for each sign-in."""
        first = self.actions.log.fold.register.links_of(session.person)[0]
        salt = self.actions.people.of_link(first.id).get("salt", "")
        if not salt:
            raise SignInFailed(
                "the person was named before names were committed to",
                hint="ask your admin to name the person anew, as somebody new",
            )
        return salt

    def _credentials(self, session: Session) -> Credentials:
        return Credentials(self.secrets.key(), self.secrets.secret(session.organisation))

    @contextmanager
    def _room(self, whose: tuple[str, str]) -> Iterator[None]:
        """Refuse more than so many for one invitation, or of one person without: each has the
        provider called."""
        now = self.clock()
        for name in [name for name, one in self._sessions.items() if one.until <= now]:
            del self._sessions[name]
        begun = [(one.person, one.invitation) for one in self._sessions.values()] + self._asking
        if begun.count(whose) >= _MOST_EACH or len(begun) >= _MOST:
            raise Denied(Refused(Reason.TOO_OFTEN, "wait some minutes before you sign in again"))
        self._asking.append(whose)
        try:
            yield
        finally:
            self._asking.remove(whose)


_CLAIMS = {"sub": "subject", "email": "email address"}


def page_url(base: str, session: Session) -> str:
    """What the person opens."""
    return f"{base}/sign-in/{session.id}"


def back_url(session: Session, completion: str) -> str:
    """The device's own listener, with what it waits for; empty where it has none."""
    return f"{session.back}?{urlencode({'completion': completion})}" if session.back else ""


def host_of(session: Session) -> str:
    """The provider's host, for a person to recognise."""
    return urlsplit(session.provider.registered.issuer).netloc
