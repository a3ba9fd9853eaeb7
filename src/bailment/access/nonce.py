"""Server nonces (RFC 9449 §8 and §9) without state: a keyed hash of the time.

A nonce proves that a proof was made lately, so proofs cannot be made in advance, by a borrowed
key for instance. That each is used once is the work of `jti`.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from bailment.access import base64url


@dataclass(frozen=True, slots=True)
class Nonces:
    """The nonces of one process, which change every `period_ms` and live for one to two periods.

    `secret` is 32 random bytes that never leave the process; a restart makes every client fetch a
    new nonce once.
    """

    secret: bytes = field(repr=False)
    period_ms: int
    _made: dict[int, str] = field(default_factory=dict, repr=False, compare=False)

    def current(self, now_ms: int) -> str:
        """The nonce to hand out at `now_ms`: 22 characters."""
        return self._of(now_ms // self.period_ms)

    def accepted(self, now_ms: int) -> tuple[str, str]:
        """The nonces that are good at `now_ms`: this period's and the one's before."""
        period = now_ms // self.period_ms
        return self._of(period), self._of(period - 1)

    def _of(self, period: int) -> str:
        nonce = self._made.get(period)
        if nonce is None:
            if len(self._made) > 2:
                self._made.clear()
            message = b"bailment dpop nonce " + period.to_bytes(8, "big", signed=True)
            digest = hmac.digest(self.secret, message, "sha256")
            nonce = self._made[period] = base64url.encode(digest[:16])
        return nonce
