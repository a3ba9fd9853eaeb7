"""Whom an entry that a finding cites is about.

Only what takes a key names anybody: accesses that were let in, and tokens. A refusal is about
whoever's token was shown, which a stranger may have done.
"""

from __future__ import annotations

from collections.abc import Callable

from bailment.access.proof import read_proof
from bailment.access.reasons import Refused
from bailment.access.state import Indexed
from bailment.ledger.facts import Facts
from bailment.ledger.records import AccessOpened, TokenIssued


def named_by(
    facts: Facts, register: Indexed, token_of: Callable[[str], TokenIssued | None]
) -> set[str]:
    """The subjects that an entry is about: who used a key, and all along the chain to it.

    `token_of` has the tokens of the last minutes by their hash; of an access by an older one the
    key in the proof says whose it was, and by mTLS nothing does.
    """
    match facts:
        case TokenIssued():
            caller, person = facts.device, facts.person
        case AccessOpened():
            token = token_of(facts.token)
            caller, person = (
                (token.device, token.person) if token else (_holder(facts, register), "")
            )
        case _:
            return set()
    path = register.path(register.link_of.get(caller, ""))
    found = {f"{link.kind}:{link.subject}" for link in path} | {f"link:{link.id}" for link in path}
    # Detectors call whoever shows a credential a device, and a job's owner is not on its chain.
    found |= {f"device:{caller}"} if caller else set()
    return found | ({f"person:{person}"} if person else set())


def _holder(facts: AccessOpened, register: Indexed) -> str:
    """The device whose key an access was proven with; empty if there is none."""
    proof = read_proof(facts.proof)
    if isinstance(proof, Refused):
        return ""
    known = register.state.devices.items()
    same = (name for name, one in known if register.key(one.key).thumbprint == proof.thumbprint)
    return next(same, "")
