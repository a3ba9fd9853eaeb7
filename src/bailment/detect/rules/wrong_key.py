"""A token shown by somebody who does not have the key that it is bound to.

Who shows it is refused; that the token is in other hands is what must be known. A person's own
client that is set up wrongly does the same, and anybody who has read a token can bring this about:
so it never holds by itself. `threshold` is how many such requests within `window_ms`.
"""

from __future__ import annotations

from bailment.detect.event import Event, Finding
from bailment.detect.memory import Tallies
from bailment.detect.rules.wording import times, where_by
from bailment.spec.detection import RuleTerms

KIND = "wrong-key"
_WITHOUT = "without the key that it is bound to"
#: By reason of the refusal, how the token was shown.
HOW = {
    "proof-missing": _WITHOUT,
    "certificate-missing": _WITHOUT,
    "proof-key": "with a proof by another key",
    "proof-signature": "with a proof whose signature is wrong",
    "proof-token": "with a proof that was made for another token",
    "proof-body": "with a proof that was made for another request",
    "certificate-other": "with another certificate",
}


def begin(terms: RuleTerms) -> Tallies:
    return Tallies()


def step(state: Tallies, event: Event, now: int, terms: RuleTerms) -> tuple[Tallies, list[Finding]]:
    if event.what != "refused" or event.reason not in HOW or not event.device:
        return state, []
    tally, count = state.add(event, now, terms.window_ms)
    if count < terms.threshold:
        return state, []
    whose = f" of person:{event.person}" if event.person else ""
    minutes = terms.window_ms // 60_000
    by = f"from {where_by(event.context, event.context.client)}"
    sentence = (
        f"a token of device:{event.device}{whose} was shown {HOW[event.reason]} ({by}), "
        f"{times(count)} in {minutes} minutes: whoever does that is not its holder, or the "
        "holder's client is set up wrongly; ask the holder"
    )
    return state, [
        Finding(
            KIND,
            f"device:{event.device}",
            sentence,
            tally.since,
            event.time,
            tally.records,
            "high",
            {"requests": count},
            others=(f"person:{event.person}",) if event.person else (),
        )
    ]
