"""What callers of a tier's models must show of themselves: the spec's terms, as the decision asks
for each access."""

from __future__ import annotations

from msgspec import UNSET

from bailment.access.chain import Link
from bailment.access.reasons import Reason, Refused
from bailment.access.signalling import silent
from bailment.access.signing_in import last_sign_in
from bailment.access.state import Indexed
from bailment.ledger.records import TokenIssued
from bailment.spec.conditions import CallerTerms
from bailment.spec.policy import KEY_CLASSES


def presentation_of(token: TokenIssued) -> str:
    """How a token is presented: one that is bound to a certificate by mTLS, any other by proofs."""
    return "dpop-body" if token.certificate is UNSET else "mtls"


def meets(
    register: Indexed, token: TokenIssued, path: list[Link], model: str, now: int
) -> Refused | None:
    """Why the caller does not meet the terms of the model's tier now; a canary has none."""
    refused = silent(register, path, now)
    known = register.state.models[model]
    if refused is not None or known.canary is True:
        return refused
    terms = register.conditions.caller(register.state.tiers.get(model, 0))
    if KEY_CLASSES.index(token.key_class) < terms.key_class:
        return Refused(
            Reason.KEY_CLASS_TOO_LOW,
            f"`{model}` asks for a key that is {KEY_CLASSES[terms.key_class]} at least, and this "
            f"one is {token.key_class}: enrol a device with such a key",
            f"device:{token.device}",
        )
    kind = presentation_of(token)
    if terms.presentation and kind not in terms.presentation:
        allowed = " or ".join(f"`{one}`" for one in terms.presentation)
        return Refused(
            Reason.PRESENTATION_TOO_WEAK, f"`{model}` asks for {allowed}, and this was `{kind}`"
        )
    return _signed_in(register, token, path[-1], terms, model, now)


def _signed_in(
    register: Indexed, token: TokenIssued, last: Link, terms: CallerTerms, model: str, now: int
) -> Refused | None:
    """A person's last sign-in; a workload's is the job token that it came with."""
    if last.kind == "workload" or not (terms.sign_in_ms or terms.acr):
        return None
    found = last_sign_in(register, token.person, last.id)
    subject = f"person:{token.person}"
    again = "run `bailment sign-in`"
    if found is None:
        detail = f"`{model}` asks for a sign-in at the employer's provider, and there was none"
        return Refused(Reason.SIGN_IN_TOO_OLD, f"{detail}: {again}", subject)
    if terms.sign_in_ms and now >= found.auth_time + terms.sign_in_ms:
        minutes = terms.sign_in_ms // 60_000
        detail = f"`{model}` asks for a sign-in of the last {minutes} minutes"
        return Refused(Reason.SIGN_IN_TOO_OLD, f"{detail}: {again}", subject)
    if terms.acr and found.acr not in terms.acr:
        wanted = ", ".join(f"`{one}`" for one in terms.acr)
        detail = f"`{model}` asks for a sign-in by {wanted}, and the last was `{found.acr}`"
        return Refused(Reason.SIGN_IN_TOO_OLD, f"{detail}: {again}", subject)
    return None
