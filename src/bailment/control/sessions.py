"""Sessions of operators in a browser, and the challenges that their passkeys are asked to sign.

Both are kept here and nowhere else: a cookie holds a random name, of which only the SHA-256 is
kept, and a restart signs everybody out. A session begins when somebody has signed in, never before,
so that nobody can be made to use one that another person knows.
"""

from __future__ import annotations

import hashlib
import secrets as entropy
from dataclasses import dataclass, field

from bailment.spec.conditions import Operators as Terms

#: Sessions and unanswered challenges that may exist at once; the oldest go first.
_MOST = 1024
#: How long a page may wait for a passkey, ms: what the browser is told, and a little.
CHALLENGE_MS = 120_000


@dataclass(slots=True)
class Session:
    """Somebody who is signed in. `asked` has when each proposal was last shown to them to sign."""

    operator: str
    began: int
    seen: int
    asked: dict[str, int] = field(default_factory=dict)


class Sessions:
    """Sessions by the SHA-256 of the cookie."""

    def __init__(self) -> None:
        self._sessions: dict[bytes, Session] = {}

    def begin(self, operator: str, now: int) -> str:
        """A new session; the value of its cookie."""
        value = entropy.token_urlsafe(32)
        if len(self._sessions) >= _MOST:
            del self._sessions[min(self._sessions, key=lambda name: self._sessions[name].seen)]
        self._sessions[_name(value)] = Session(operator, now, now)
        return value

    def find(self, value: str, terms: Terms, now: int) -> Session | None:
        """The session of a cookie that is neither idle for too long nor too old, now seen."""
        name = _name(value)
        session = self._sessions.get(name)
        if session is None:
            return None
        if now - session.seen >= terms.idle_ms or now - session.began >= terms.session_ms:
            del self._sessions[name]
            return None
        session.seen = now
        return session

    def end(self, value: str) -> None:
        """Sign out."""
        self._sessions.pop(_name(value), None)


class Challenges:
    """Random challenges, each good once and for a short time, for one `purpose`."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, bytes], int] = {}

    def make(self, purpose: str, now: int) -> bytes:
        """A challenge: 32 random bytes."""
        for old in [one for one, until in self._made.items() if until <= now]:
            del self._made[old]
        if len(self._made) >= _MOST:
            del self._made[next(iter(self._made))]
        challenge = entropy.token_bytes(32)
        self._made[purpose, challenge] = now + CHALLENGE_MS
        return challenge

    def spend(self, purpose: str, challenge: bytes, now: int) -> bool:
        """Whether this was made for the purpose, is young enough, and was not spent before."""
        return self._made.pop((purpose, challenge), 0) > now


def _name(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
