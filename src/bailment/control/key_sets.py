"""The keys of issuers elsewhere: JWK Sets (RFC 7517) that are fetched when they are needed, and
trusted for as long as they are fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bailment.access.job import Signed, keys_of
from bailment.access.jwk import PublicKey
from bailment.clock import steady_ms
from bailment.errors import BailmentError

#: How long keys are kept, and how soon they are fetched again for one we lack, ms.
_KEPT, _AGAIN = 300_000, 10_000


class KeysUnavailable(BailmentError):
    """An issuer's keys cannot be had now, so that nothing can be said of a signature."""


@dataclass(slots=True)
class _Known:
    """An issuer's JWK Set, when it was fetched, when that was last tried (steady clock, ms), and
    why that failed, or empty."""

    document: Any = None
    fetched: float = float("-inf")
    tried: float = float("-inf")
    failed: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeySets:
    """Those of one kind of issuer; `fetch` has an issuer's JWK Set, and raises BailmentError."""

    def __init__(self, fetch: Callable[[str], Awaitable[Any]]) -> None:
        self._fetch = fetch
        self._known: dict[str, _Known] = {}  # of issuers that a recipient named, and no other

    async def keys(self, issuer: str, token: Signed) -> list[PublicKey]:
        """The issuer's keys that may have signed it, fetched again if there is none, and if they
        are old: a key that the issuer took back is good no longer because it cannot be reached.
        Raises KeysUnavailable."""
        known = self._known.setdefault(issuer, _Known())
        # They come in crowds: the others wait for what the first one fetches.
        async with known.lock:
            now = steady_ms()
            fresh = now < known.fetched + _KEPT
            keys = keys_of(known.document, token) if fresh else []
            if keys:
                return keys
            if now < known.tried + _AGAIN:
                if known.failed:
                    raise KeysUnavailable(known.failed)
                return []
            known.tried = now  # so that nobody has us call without a pause
            try:
                known.document, known.failed = await self._fetch(issuer), ""
            except BailmentError as error:
                known.failed = str(error)
                raise KeysUnavailable(known.failed) from error
            known.fetched = now
            return keys_of(known.document, token)
