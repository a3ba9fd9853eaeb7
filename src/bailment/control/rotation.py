"""Replacing credentials: what the issuer holds is worthless at once, the rest is asked for."""

from __future__ import annotations

import os
from hashlib import sha256

import msgspec

from bailment.access.rotation import no_later
from bailment.control.actions import Actions
from bailment.ledger.identity_records import TokenRevoked
from bailment.ledger.incident_records import RotationDemanded


async def demand(
    actions: Actions,
    subject: str,
    organisation: str,
    why: str,
    author: str,
    incident: str,
    *,
    within: int,
) -> str:
    """Have an organisation replace a credential within so many ms, or by when it has to already;
    the rotation's id. Denied if the register's rule refuses it."""
    name, register = os.urandom(16).hex(), actions.log.fold.register

    def make(now: int) -> RotationDemanded:
        until = no_later(register, subject, now + within)
        return RotationDemanded(name, subject, organisation, until, why, author, incident)

    await actions.append(make)
    return name


async def at_once_worthless(actions: Actions, subject: str, why: str, author: str) -> list[str]:
    """End what the issuer itself can end of a credential; in words, what that was."""
    kind, _, name = subject.partition(":")
    fold, done = actions.log.fold, []
    if kind in ("device", "workload"):
        live = [one for one in fold.admission.counted.tokens.values() if one.device == name]
        for one in live:
            if one.token not in fold.register.state.revoked and fold.time < one.until:
                revoked = TokenRevoked(one.token, name, why, author)
                await actions.append(lambda now, revoked=revoked: revoked, urgent=True)  # type: ignore[misc]
                done.append("a token was revoked")
    source = fold.register.state.sources.get(name) if kind == "source" else None
    if source is not None and source.kind == "scim":
        nobody_knows = sha256(os.urandom(32)).hexdigest()
        ended = msgspec.structs.replace(source, credential=nobody_knows, author=author)
        await actions.append(lambda now: ended)
        done.append("the credential of the directory is worthless")
    return done
