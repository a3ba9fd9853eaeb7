"""Notices tripwires' secrets in requests, and says whose they are in a finding.

Whoever shows one is answered as everybody else is, and as soon: the finding is written beside the
answer. The secret itself is in no record and no line of output; the caller's address is in the
latter alone.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from bailment.access.reasons import Reason
from bailment.access.tripwire import digest, shown, split
from bailment.detect.event import Finding, Severity
from bailment.gateway.credentials import Caller, Stranger
from bailment.gateway.intake import Arrival, Scope, arrive
from bailment.ledger.identity_records import TripwireSet
from bailment.store.log import Log

logger = structlog.get_logger("bailment.tripwires")

_MINUTE_MS = 60_000
_MODEL = "/v1/models/"
#: Of what the showing of each is a finding; how grave, and what there is to say.
_FINDINGS: dict[str, tuple[str, Severity, str]] = {
    "capability": (
        "tripwire",
        "high",
        "an agent's local capability, worth nothing here, was shown to the gateway: it "
        "has left {subject} of person:{person}, or was put where it does not belong",
    ),
    "slug": (
        "tripwire",
        "medium",
        "somebody who is not of {subject} used the address that only its clients know",
    ),
    "honey": (
        "honey-credential",
        "critical",
        "a credential that opens nothing, and was laid out in {subject}, was shown to the gateway: "
        "somebody has read what is there who should not; find out who, and rotate what else is",
    ),
    "model": (
        "decoy-model",
        "critical",
        "{caller} asked about a model that does not exist and whose name was laid out in "
        "{subject}; find out how they came by it",
    ),
}


class Tripwires:
    """One gateway's. What it notices goes to `report`, which counts what goes on."""

    def __init__(self, log: Log, report: Callable[[Finding], None], proxies: tuple[str, ...]):
        self._log = log
        self._report = report
        self._proxies = proxies
        self._told: dict[str, int] = {}  # by registered secret: the minute of its last log line

    def look(self, scope: Scope) -> None:
        """Look for registered secrets anywhere in the head of a request to this listener."""
        path = split(scope["raw_path"].decode("latin-1"))[1].encode("latin-1")
        for secret in shown(path, scope["query_string"], scope["headers"]):
            found = self._log.fold.register.state.tripwires.get(secret)
            if found is not None:
                self._tell(found, arrive(scope, self._proxies))

    def judge(self, arrival: Arrival, caller: Caller | Stranger | None) -> None:
        """Notice a request below a slug by a caller who is not of the slug's organisation, and
        one about a decoy."""
        if arrival.path.startswith(_MODEL):
            self._judge_model(arrival, caller)
        if not arrival.slug:
            return
        token = caller.token if caller is not None else None
        expired = isinstance(caller, Stranger) and caller.refused.reason is Reason.TOKEN_EXPIRED
        if token is None and expired:
            return  # of its own accord a client asks for the next one
        secret, register = digest(arrival.slug.encode()), self._log.fold.register
        found = register.state.tripwires.get(secret)
        link = register.link_of.get(token.device, "") if token is not None else ""
        if found is not None and found.subject != f"recipient:{register.recipient_of(link)}":
            self._tell(found, arrival)

    def _judge_model(self, arrival: Arrival, caller: Caller | Stranger | None) -> None:
        name = arrival.path.removeprefix(_MODEL)
        found = self._log.fold.register.state.tripwires.get(digest(name.encode()))
        if found is not None and found.kind == "model":
            # Only who proved a key is known to have asked.
            device = caller.token.device if isinstance(caller, Caller) else ""
            self._tell(found, arrival, f"device:{device}" if device else "")

    def _tell(self, found: TripwireSet, arrival: Arrival, caller: str = "") -> None:
        now, register = self._log.sequencer.time, self._log.fold.register
        path = register.path(register.link_of.get(found.subject.partition(":")[2], ""))
        person = next((link.subject for link in path if link.kind == "person"), "")
        kind, severity, text = _FINDINGS[found.kind]
        whom = caller or "somebody without a key"
        sentence = text.format(subject=found.subject, person=person, caller=whom)
        subject = caller if found.kind == "model" else found.subject
        self._report(Finding(kind, subject, sentence, now, now, (), severity, key=found.secret))
        if self._told.get(found.secret) != (minute := now // _MINUTE_MS):
            self._told[found.secret] = minute
            logger.warning("a tripwire", kind=kind, sentence=sentence, address=arrival.address)
