"""The policy section: the numbers that credentials, delegation, detection, response and disclosure
obey, as written, and the part of them that every decision carries."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET

from bailment.ledger.records import Policy
from bailment.spec.detection import Detection
from bailment.spec.quantity import duration_ms
from bailment.spec.terms import Duration, Maybe, Part, TierName, Title, says

#: Longest life of a token that any policy may set (RFC 9700 asks for short ones).
MAX_TOKEN_MS = 300_000
#: Acts of the control plane that a spec may ask two people for.
TwoPersonAct = Literal[
    "hold-everything",
    "hold-model",
    "hold-purpose",
    "hold-attribute",
    "hold-recipient",
    "end-recipient",
    "lift-everything",
    "lift-model",
    "lift-recipient",
    "lift-purpose",
    "lift-attribute",
    "lift-subcontractor",
    "lift-person",
    "kill-switch-off",
    "maintenance",
    "spec-apply",
    "operator-change",
    "person-name",
    "device-confirm",
    "provider-change",
]
#: Longest time from a record to the heads record that covers it.
MAX_HEADS_MS = 3_600_000
#: The numbers of a `Policy`: which, where the section says them, and their least and most, ms.
BOUNDS: tuple[tuple[str, tuple[str, str], int, int], ...] = (
    ("token_ms", ("credential", "max_ttl"), 1, MAX_TOKEN_MS),
    ("proof_ms", ("credential", "proof_window"), 1, 300_000),
    ("skew_ms", ("credential", "clock_skew"), 0, 60_000),
    ("decision_ms", ("credential", "decision_window"), 1, 60_000),
    ("invitation_ms", ("credential", "invitation_ttl"), 1, 30 * 86_400_000),
    ("heads_ms", ("log", "heads"), 1_000, MAX_HEADS_MS),
)


#: Where a device's key may live, the weakest first.
KeyClassName = Literal["software", "hw-unattested", "hw-attested"]
KEY_CLASSES: tuple[KeyClassName, ...] = ("software", "hw-unattested", "hw-attested")
#: How a token may be presented. Only the first leaves a proof of the request that nobody can deny.
Presentation = Literal["dpop-body", "mtls"]


class TierCredential(Part, frozen=True):
    """What callers of a tier's models must show of themselves; what is left out is not asked."""

    key_class: Maybe[Annotated[KeyClassName, says("The weakest key that will do.")]] = UNSET
    presentation: Maybe[
        Annotated[tuple[Presentation, ...], says("The ways that will do.", min_length=1)]
    ] = UNSET
    max_sign_in_age: Maybe[
        Annotated[Duration, says("How old a person's last sign-in at the employer may be.")]
    ] = UNSET
    acr: Maybe[
        Annotated[
            tuple[Title, ...],
            says("How they signed in: any of these `acr` values (OIDC).", min_length=1),
        ]
    ] = UNSET


class Credential(Part, frozen=True):
    """Tokens and the proofs that come with them."""

    max_ttl: Annotated[Duration, says("How long a token lives; at most `PT5M`.")]
    sender_constrained: Annotated[
        Literal["dpop"], says("Every use is proven by the device's key (RFC 9449, RFC 8705).")
    ]
    proof_window: Annotated[Duration, says("How old a proof may be; at most `PT5M`.")]
    clock_skew: Annotated[Duration, says("How far a caller's clock may be ahead; at most `PT1M`.")]
    decision_window: Annotated[
        Duration, says("By when the log must have accepted what was decided; at most `PT1M`.")
    ]
    invitation_ttl: Annotated[Duration, says("How long an invitation can be used; at most `P30D`.")]
    certificate_ttl: Annotated[
        Duration, says("How long a device's certificate lasts, where it calls by mTLS (RFC 8705).")
    ]
    by_tier: Maybe[
        Annotated[
            dict[TierName, TierCredential],
            says("What is asked from a tier on, upwards; not less than below.", min_length=1),
        ]
    ] = UNSET


class DelegationLimit(Part, frozen=True):
    """What delegation is limited to from a tier on, upwards."""

    max_depth: Maybe[Annotated[int, says("In place of the general one.", ge=0, le=8)]] = UNSET
    max_ttl: Maybe[Annotated[Duration, says("In place of the general one.")]] = UNSET


class Delegation(Part, frozen=True):
    """How far access may be passed on."""

    max_depth: Annotated[int, says("Subcontractors in one chain.", ge=0, le=8)]
    max_ttl: Annotated[Duration, says("How long a link may last.")]
    delegate_meets: Annotated[
        Literal["same-tier", "nothing"], says("What a subcontractor must prove itself.")
    ]
    by_tier: Maybe[
        Annotated[
            dict[TierName, DelegationLimit],
            says("What is allowed from a tier on, upwards; not more than below.", min_length=1),
        ]
    ] = UNSET


class KillSwitch(Part, frozen=True):
    """Who may stop everything."""

    approvers: Annotated[int, says("How many people it takes.", ge=1, le=16)]


class Response(Part, frozen=True):
    """How soon what must be done after a finding."""

    revoke: Annotated[Duration, says("Access is cut.")]
    notify_recipient: Annotated[Duration, says("The recipient is told.")]
    rotate: Annotated[Duration, says("Credentials are replaced.")]
    kill_switch: Annotated[KillSwitch, says("Everything is stopped.")]
    acknowledge: Maybe[
        Annotated[Duration, says("A recipient has confirmed a notice; after that it is chased.")]
    ] = UNSET


class Disclosure(Part, frozen=True):
    """How soon reports are due, and whether they name recipients."""

    initial: Annotated[Duration, says("The first report, from the finding.")]
    final: Annotated[Duration, says("The last one.")]
    names: Annotated[
        Literal["redacted-committed", "named"],
        says("Whether recipients are named, or hidden and committed to."),
    ]


class Enforcement(Part, frozen=True):
    """How soon a gateway that hears nothing of the register stops."""

    heartbeat: Annotated[Duration, says("Between two signs of life; `PT0.05S` to `PT5S`.")]
    stale: Annotated[Duration, says("Silence after which nothing new is let in.")]
    cut: Annotated[Duration, says("Silence after which open streams are cut.")]
    maintenance_max: Annotated[
        Duration, says("How long two people may let the gateway go on without; at most `P1D`.")
    ]


class Signals(Part, frozen=True):
    """What a recipient's own systems report (SSF, SCIM), and when their silence counts."""

    verify_every: Annotated[Duration, says("Between two requests for a sign of life.")]
    silent_after: Annotated[
        Duration, says("Silence after which nothing rests on the recipient's word any more.")
    ]


class Operators(Part, frozen=True):
    """People in the control plane."""

    session_idle: Annotated[Duration, says("Idle time after which a session ends.")]
    step_up: Annotated[Duration, says("How old a confirmation by passkey may be.")]
    proposal_ttl: Annotated[Duration, says("How long what one proposed waits for another.")]
    two_person: Annotated[
        tuple[TwoPersonAct, ...], says("What takes a second person.", max_length=64)
    ]
    session_max: Maybe[
        Annotated[Duration, says("How long a session lasts at the most; `PT8H` if left out.")]
    ] = UNSET


class Log(Part, frozen=True):
    """What the log owes to those who watch it."""

    heads: Annotated[Duration, says("From a record to the heads that cover it; `PT1S` to `PT1H`.")]


class PolicySection(Part, frozen=True):
    """The numbers that credentials, delegation, detection, response and disclosure obey."""

    contact: Annotated[Title, says("Whom a refused caller is told to ask.")]
    credential: Annotated[Credential, says("Tokens and proofs.")]
    delegation: Annotated[Delegation, says("How far access may be passed on.")]
    detection: Annotated[Detection, says("How soon misuse must be noticed.")]
    response: Annotated[Response, says("How soon it must be answered.")]
    disclosure: Annotated[Disclosure, says("How soon it must be told.")]
    enforcement: Annotated[Enforcement, says("How soon a deaf gateway stops.")]
    signals: Annotated[Signals, says("What recipients' systems report.")]
    operators: Annotated[Operators, says("People in the control plane.")]
    log: Annotated[Log, says("What the log owes.")]


def policy_of(section: PolicySection) -> Policy:
    """What the gateway's decisions obey; ms."""
    credential = section.credential
    return Policy(
        token_ms=duration_ms(credential.max_ttl),
        proof_ms=duration_ms(credential.proof_window),
        skew_ms=duration_ms(credential.clock_skew),
        decision_ms=duration_ms(credential.decision_window),
        invitation_ms=duration_ms(credential.invitation_ttl),
        heads_ms=duration_ms(section.log.heads),
        contact=section.contact,
    )
