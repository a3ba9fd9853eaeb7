"""What a spec's policy asks of credentials, enforcement, signals and operators, in ms.

What holds without a spec is what the fields here default to.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from bailment.spec.detection import DetectionTerms, detection_of
from bailment.spec.policy import KEY_CLASSES, PolicySection, TierCredential
from bailment.spec.quantity import duration_ms
from bailment.spec.terms import TIERS


class CallerTerms(msgspec.Struct, frozen=True):
    """What callers of a tier's models must show of themselves.

    key_class      rung of `KEY_CLASSES`, 0 for any
    presentation   the kinds that will do; empty for any
    sign_in_ms     how old the last sign-in may be; 0 if none is asked for
    acr            the `acr` values that will do; empty for any
    """

    key_class: int = 0
    presentation: tuple[str, ...] = ()
    sign_in_ms: int = 0
    acr: tuple[str, ...] = ()


class Enforcement(msgspec.Struct, frozen=True):
    """How soon a gateway that hears nothing of the register stops."""

    heartbeat_ms: int = 250
    stale_ms: int = 1_000
    cut_ms: int = 3_000
    maintenance_ms: int = 3_600_000


class Signals(msgspec.Struct, frozen=True):
    """When a recipient's systems must have been heard."""

    verify_ms: int = 300_000
    silent_ms: int = 900_000


class Operators(msgspec.Struct, frozen=True):
    """People in the control plane; `two_person` names the acts that take a second one."""

    idle_ms: int = 900_000
    session_ms: int = 28_800_000
    step_up_ms: int = 300_000
    proposal_ms: int = 86_400_000
    two_person: frozenset[str] = frozenset()
    kill_switch: int = 2


class ResponseTerms(msgspec.Struct, frozen=True):
    """How soon what must be done after a finding."""

    revoke_ms: int = 1_000
    notify_ms: int = 3_600_000
    rotate_ms: int = 14_400_000
    acknowledge_ms: int = 86_400_000


class Conditions(msgspec.Struct, frozen=True):
    """All of it. `callers` has the terms of each tier, T1 first."""

    callers: tuple[CallerTerms, ...] = (CallerTerms(),) * len(TIERS)
    enforcement: Enforcement = Enforcement()
    signals: Signals = Signals()
    operators: Operators = Operators()
    certificate_ms: int = 86_400_000
    link_ms: int = 0
    depth: tuple[int, ...] = (8,) * len(TIERS)
    delegate_meets: bool = True
    detection: DetectionTerms = DetectionTerms()
    response: ResponseTerms = ResponseTerms()

    def caller(self, rank: int) -> CallerTerms:
        """The terms of a tier, by its rank from 1 on; of none, where nothing is asked."""
        return self.callers[rank - 1] if rank else CallerTerms()


def conditions_of(section: PolicySection) -> Conditions:
    """The conditions that a policy section states."""
    enforcement, signals, operators = section.enforcement, section.signals, section.operators
    return Conditions(
        callers=tuple(_callers(section)),
        enforcement=Enforcement(
            heartbeat_ms=duration_ms(enforcement.heartbeat),
            stale_ms=duration_ms(enforcement.stale),
            cut_ms=duration_ms(enforcement.cut),
            maintenance_ms=duration_ms(enforcement.maintenance_max),
        ),
        signals=Signals(
            verify_ms=duration_ms(signals.verify_every),
            silent_ms=duration_ms(signals.silent_after),
        ),
        operators=Operators(
            idle_ms=duration_ms(operators.session_idle),
            session_ms=Operators().session_ms
            if operators.session_max is UNSET
            else duration_ms(operators.session_max),
            step_up_ms=duration_ms(operators.step_up),
            proposal_ms=duration_ms(operators.proposal_ttl),
            two_person=frozenset(operators.two_person),
            kill_switch=section.response.kill_switch.approvers,
        ),
        certificate_ms=duration_ms(section.credential.certificate_ttl),
        link_ms=duration_ms(section.delegation.max_ttl),
        depth=tuple(_depths(section)),
        delegate_meets=section.delegation.delegate_meets == "same-tier",
        detection=detection_of(section.detection),
        response=_response(section),
    )


def terms_over(below: CallerTerms, said: TierCredential) -> CallerTerms:
    """The terms of the tier below with what a tier says in their place."""
    age = said.max_sign_in_age
    return CallerTerms(
        below.key_class if said.key_class is UNSET else KEY_CLASSES.index(said.key_class),
        below.presentation if said.presentation is UNSET else said.presentation,
        below.sign_in_ms if age is UNSET else duration_ms(age),
        below.acr if said.acr is UNSET else said.acr,
    )


def looser(below: CallerTerms, above: CallerTerms) -> list[str]:
    """The members in which a tier asks for less than the one below it, as the document has them."""
    ways = set(above.presentation) <= set(below.presentation) or not below.presentation
    acr = set(above.acr) <= set(below.acr) or not below.acr
    sooner = not below.sign_in_ms or 0 < above.sign_in_ms <= below.sign_in_ms
    found = {
        "key_class": above.key_class >= below.key_class,
        "presentation": ways,
        "max_sign_in_age": sooner,
        "acr": acr,
    }
    return [name for name, tight in found.items() if not tight]


def _response(section: PolicySection) -> ResponseTerms:
    response = section.response
    usual, said = ResponseTerms().acknowledge_ms, response.acknowledge
    return ResponseTerms(
        revoke_ms=duration_ms(response.revoke),
        notify_ms=duration_ms(response.notify_recipient),
        rotate_ms=duration_ms(response.rotate),
        acknowledge_ms=usual if said is UNSET else duration_ms(said),
    )


def _callers(section: PolicySection) -> list[CallerTerms]:
    """Each tier's terms, which are those of the tier below where it says nothing."""
    by_tier = section.credential.by_tier
    terms, found = CallerTerms(), []
    for tier in TIERS:
        if by_tier is not UNSET and tier in by_tier:
            terms = terms_over(terms, by_tier[tier])
        found.append(terms)
    return found


def _depths(section: PolicySection) -> list[int]:
    depth, found = section.delegation.max_depth, []
    for tier in TIERS:
        by_tier = section.delegation.by_tier
        if by_tier is not UNSET and tier in by_tier and by_tier[tier].max_depth is not UNSET:
            depth = by_tier[tier].max_depth  # type: ignore[assignment]
        found.append(depth)
    return found
