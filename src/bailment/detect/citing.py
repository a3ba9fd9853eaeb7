"""Whom an entry that a finding cites is about.

Only what takes a key names anybody: accesses that were let in, and tokens. A refusal is about
whoever's token was shown, which a stranger may have done.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import UNSET

from bailment.access.proof import read_proof
from bailment.access.reasons import Refused
from bailment.access.state import Indexed
from bailment.ledger.detection_records import FindingRaised
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
    # A job's owner is not on its chain.
    return found | ({f"person:{person}"} if person else set())


def by_kind(finding: FindingRaised, register: Indexed) -> FindingRaised:
    """A finding that calls each workload one, so that what it leads to can be done to it.

    Detectors call whoever shows a credential a device: they see events, and no register.
    """
    sentence, told = finding.sentence, dict[str, str]()
    about = finding.subject or ""
    for subject in (about, *finding.others):
        kind, _, name = subject.partition(":")
        link = register.links.get(register.link_of.get(name, ""))
        if kind == "device" and link is not None and link.kind == "workload":
            told[subject] = f"workload:{name}"
            sentence = sentence.replace(subject, told[subject])
    if not told:
        return finding
    return msgspec.structs.replace(
        finding,
        subject=told.get(about, about) or UNSET,
        others=tuple(told.get(one, one) for one in finding.others),
        sentence=sentence,
    )


def _holder(facts: AccessOpened, register: Indexed) -> str:
    """The device whose key an access was proven with; empty if there is none."""
    proof = read_proof(facts.proof)
    if isinstance(proof, Refused):
        return ""
    known = register.state.devices.items()
    same = (name for name, one in known if register.key(one.key).thumbprint == proof.thumbprint)
    return next(same, "")
