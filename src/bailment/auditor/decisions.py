"""Every token and every access, decided again from the log alone.

The same `decide` and the same `admission` that let it in are asked again, with the register as it
stood at that entry, and the client's own signature is verified again over what the record says
was asked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import UNSET

from bailment.access.admission import Stale
from bailment.access.budgets import Budgets, budgets_of
from bailment.access.caller import presentation_of
from bailment.access.decision import Allowed, Request, decide, issuable, standing
from bailment.access.details import person_of
from bailment.access.fold import Fold
from bailment.access.proof import (
    Proof,
    ProofHeader,
    check_body,
    check_key,
    check_request,
    check_time,
    read_proof,
    replay_key,
)
from bailment.access.reasons import Reason, Refused
from bailment.access.routes import action_of
from bailment.access.signing_in import how_signed_in
from bailment.auditor.findings import Findings, Kind
from bailment.auditor.lost_spec import LostSpec
from bailment.auditor.signatures import Signatures
from bailment.auditor.unlogged import UnloggedTokens
from bailment.errors import FormatError, VerificationError
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import TokenRevoked
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import (
    RESTARTED,
    AccessClosed,
    AccessOpened,
    DelegationEnded,
    EnrolmentRequested,
    HoldAdded,
    HoldLifted,
    TokenIssued,
)

TOKEN_PATH = "/oauth/token"
ENROL_PATH = "/enrol/requests"

OUTCOMES = frozenset(
    ("complete", "client-left", "cut", "aborted", "upstream-failed", "upstream-refused")
)

#: The records that can cut an access, or allow it again.
CUTTING = (DelegationEnded, HoldAdded, HoldLifted, TokenRevoked)

_MAX_HEADERS = 4096

_Found = Callable[[Kind, str], None]


class Decisions:
    """Decides tokens and accesses again, and folds them into the admission of `fold`.

    `made` counts the decisions; `disputed` holds the entries where the log's was another, `lost`
    those that cannot be judged for want of the spec.
    """

    def __init__(
        self, fold: Fold, findings: Findings, signatures: Signatures, lost: LostSpec
    ) -> None:
        self.made = 0
        self.disputed: set[int] = set()
        self._fold = fold
        self._findings = findings
        self._signatures = signatures
        self._lost = lost
        self._headers: dict[str, ProofHeader] = {}
        self._orphans: set[str] = set()
        self._requests: dict[str, Request] = {}  # of the accesses that are open, rightly
        self._cut: dict[str, int] = {}  # those that the register refuses, and since when
        self._flown: set[str] = set()  # those that were open for longer than they could be
        self._unlogged = UnloggedTokens()
        self._gaps: set[str] = set()  # whose lines of tokens have one that cannot be read

    def enrolment(self, index: int, facts: EnrolmentRequested) -> None:
        """Check that the device proved its key. How old the proof was, only the gateway knew."""
        register = self._fold.register
        found = partial(self._findings.add, index)
        try:
            thumbprint = register.key(facts.key).thumbprint
        except FormatError:
            return  # no key, so no record that the register takes
        proof = self._read(facts.proof, thumbprint, found)
        if proof is None:
            return
        target = register.state.url + ENROL_PATH
        refused = check_key(proof, thumbprint) or check_request(
            proof, method="POST", target=target, ath=None
        )
        if refused is not None:
            found(Kind.BAD_PROOF, _because("the device did not prove its key", refused))

    def token(self, index: int, leaf: Leaf, facts: TokenIssued) -> None:
        """Decide again whether this token could be issued."""
        self.made += 1
        found = self._finder(index)
        register = self._fold.register
        proof = self._shown(facts, facts.thumbprint, found)
        if proof is not None:
            self._signatures.add(index, proof)
            target = register.state.url + TOKEN_PATH
            self._check(proof, "POST", target, None, facts.decided, facts.body, found)
        life, most = facts.until - facts.issued, register.policy.token_ms
        if life > most or not facts.issued <= facts.decided < facts.until:
            found(
                Kind.ILLEGAL_TOKEN,
                f"the token lives {life} ms from {facts.issued}; the policy allows {most} ms",
            )
        device = register.state.devices.get(facts.device)
        path = register.path(register.link_of.get(facts.device, ""))
        # A workload's key is the job's own, which nobody can say is in hardware.
        key_class = "software" if device is None else device.key_class
        if (path or device) and (facts.person, facts.key_class) != (person_of(path), key_class):
            found(Kind.ILLEGAL_TOKEN, "the token names another person or key class than the device")
        if facts.signed_in != how_signed_in(register, path):
            found(Kind.ILLEGAL_TOKEN, "the token says otherwise how the person signed in last")
        if self._fold.admission.token(facts.token) is not None:
            found(Kind.ILLEGAL_TOKEN, "the same token was recorded before")
        issued = issuable(facts, register, facts.decided)
        if self._lost.leaves_open(issued):
            self._lost.decisions.add(index)
        else:
            self._compare(issued, leaf, Kind.ILLEGAL_TOKEN, "the token", found)
        self._admit(facts, leaf, facts.thumbprint, proof, (), found)

    def opened(self, index: int, leaf: Leaf, facts: AccessOpened) -> None:
        """Decide again whether this access was allowed."""
        self.made += 1
        found = self._finder(index)
        self._name_orphans(index)
        register = self._fold.register
        token = self._fold.admission.token(facts.token)
        if token is None:
            self.disputed.add(index)
            self._unlogged.opened(index, leaf, facts)
            self._admit(facts, leaf, "", None, (), found)
            return
        proof = self._shown(facts, token.thumbprint, found)
        if proof is not None:
            self._signatures.add(index, proof)
            target = register.state.url + facts.path
            self._check(proof, facts.method, target, facts.token, facts.decided, facts.body, found)
        if (facts.kind, facts.certificate) != (presentation_of(token), token.certificate):
            found(
                Kind.BAD_PROOF,
                f"possession was proven by `{facts.kind[:40]}`, and the token is bound to "
                f"{'a key' if token.certificate is UNSET else 'a certificate'} of its own",
            )
        if not _fits(facts):
            found(
                Kind.ILLEGAL_ACCESS,
                f"`{facts.action}` reserving {facts.ceiling} tokens is not what "
                f"`{facts.method} {facts.path}` does",
            )
        request = Request(token, facts.action, facts.model, facts.networks, facts.ceiling)
        decision = decide(request, register, facts.decided)
        if isinstance(decision, Allowed):
            self._requests[facts.access] = request
        if self._lost.leaves_open(decision):
            self._lost.decisions.add(index)
        else:
            self._compare(decision, leaf, Kind.ILLEGAL_ACCESS, "the access", found)
        path = register.path(register.link_of.get(token.device, ""))
        budgets = budgets_of(token, path)
        self._admit(facts, leaf, token.thumbprint, proof, budgets if facts.ceiling else (), found)

    def raised(self, leaf: Leaf, facts: FindingRaised) -> None:
        """Count a finding, which may end a device's line of tokens."""
        policy = self._fold.register.policy
        self._fold.admission.apply(facts, b"", (), leaf.time, policy, leaf.recipient)

    def closed(self, index: int, leaf: Leaf, facts: AccessClosed) -> None:
        """Check that an open access was closed, once, where it was opened."""
        found = partial(self._findings.add, index)
        admission = self._fold.admission
        opened = admission.open.get(facts.access)
        if opened is None:
            found(Kind.UNPAIRED_CLOSE, f"access `{facts.access}` is closed and was not open")
            return
        if facts.outcome == "aborted" and facts.reason == RESTARTED and not self._orphans:
            self._orphans = set(admission.open)
        self._orphans.discard(facts.access)
        if leaf.recipient != opened.recipient:
            found(Kind.WRONG_SLOT, f"access `{facts.access}` was opened in another slot")
        used = facts.input + facts.output
        if (
            facts.outcome not in OUTCOMES
            or min(facts.input, facts.output, facts.bytes) < 0
            or (opened.ceiling and used > opened.ceiling)
        ):
            found(
                Kind.IMPLAUSIBLE_CLOSE,
                f"access `{facts.access}` ended as `{facts.outcome[:40]}` with {facts.input} + "
                f"{facts.output} tokens of {opened.ceiling} reserved",
            )
        late = self._late(facts.access, leaf.time) or facts.access in self._flown
        if late and facts.outcome == "complete":
            found(
                Kind.LATE_CUT,
                f"access `{facts.access}` went on to its end, and had to be cut long before",
            )
        self._requests.pop(facts.access, None)
        self._cut.pop(facts.access, None)
        self._flown.discard(facts.access)
        policy = self._fold.register.policy
        admission.apply(facts, b"", (), leaf.time, policy, opened.recipient)

    def before(self, facts: Facts, time: int) -> None:
        """Before the register takes a record at this time: which accesses outlived their cut."""
        if isinstance(facts, CUTTING):
            self._flown.update(access for access in self._requests if self._late(access, time))

    def after(self, facts: Facts, time: int) -> None:
        """After the register took a record at this time: which accesses it cuts."""
        if isinstance(facts, CUTTING):
            for access in self._requests:
                if self._refused(access, time):
                    self._cut.setdefault(access, time)
                else:
                    self._cut.pop(access, None)

    def unread(self, index: int, leaf: Leaf, kind: Kind) -> None:
        """A record whose facts cannot be read, which is named already as of this kind."""
        if leaf.type == TokenIssued.TYPE:
            self._gaps.add(leaf.recipient)
        self._unlogged.unread(index, leaf, kind)

    def conclude(self, refuted: list[int]) -> None:
        """At the end of the log: name the entries whose proof was found not to be signed by its
        key, and the tokens that have no record."""
        for index in refuted:
            self._finder(index)(Kind.BAD_PROOF, "the key in the proof did not sign it")
        self._unlogged.name(self._findings)
        self._lost.conclude(self.disputed, self._findings)

    # The parts of a decision

    def _refused(self, access: str, time: int) -> bool:
        request = self._requests.get(access)
        register = self._fold.register
        if request is None:
            return False
        now = standing(request, register, time)
        return isinstance(now, Refused) and not self._lost.leaves_open(now)

    def _late(self, access: str, now: int) -> bool:
        """Whether the open access had to be cut longer ago than a decision may take: the register
        refuses it now, and did then for what was on the record by then."""
        then = now - self._fold.register.policy.decision_ms
        if self._cut.get(access, 0) >= then:
            return False
        return self._refused(access, then) and self._refused(access, now)

    def _shown(
        self, facts: AccessOpened | TokenIssued, thumbprint: str, found: _Found
    ) -> Proof | None:
        """The proof, of what is not by mTLS. What is has none: there the register must know the
        certificate as the device's, which the decision asks, and the rest is the issuer's word."""
        if facts.certificate is UNSET:
            return self._read(facts.proof, thumbprint, found)
        if facts.proof:
            found(Kind.BAD_PROOF, "it is by mTLS and by a proof, and can be by one only")
        return None

    def _read(self, compact: str, thumbprint: str, found: _Found) -> Proof | None:
        """The proof, if it is one; whether its key signed it is not asked here."""
        proof = read_proof(compact, self._headers)
        if isinstance(proof, Refused):
            found(Kind.BAD_PROOF, _because("the proof is not one", proof))
            return None
        if proof.protected not in self._headers:
            if len(self._headers) >= _MAX_HEADERS:
                self._headers.clear()
            self._headers[proof.protected] = proof.header
        if proof.thumbprint != thumbprint:
            found(Kind.BAD_PROOF, "the proof is by another key than the device's")
        return proof

    def _check(
        self,
        proof: Proof,
        method: str,
        target: str,
        ath: str | None,
        decided: int,
        body: str,
        found: _Found,
    ) -> None:
        """Whether the proof is for this request, its body and this time."""
        policy = self._fold.register.policy
        refused = check_request(proof, method=method, target=target, ath=ath)
        if refused is not None:
            found(Kind.BAD_PROOF, _because("the proof is for something else", refused))
        refused = check_time(
            proof, now_ms=decided, lifetime_ms=policy.proof_ms, skew_ms=policy.skew_ms
        )
        if refused is not None:
            found(Kind.STALE_PROOF, _because(f"the proof was not good at {decided}", refused))
        demanded = target != self._fold.register.state.url + TOKEN_PATH
        refused = check_body(proof, _unhex(body), demanded=demanded)
        if refused is not None:
            found(Kind.ALTERED_BODY, "the client signed another body than the one recorded")

    def _compare(
        self, decision: Allowed | Refused, leaf: Leaf, kind: Kind, what: str, found: _Found
    ) -> None:
        if isinstance(decision, Allowed):
            if decision.recipient != leaf.recipient:
                found(Kind.WRONG_SLOT, f"{what} is in the slot of `{leaf.recipient}`, not its own")
        elif decision.reason is Reason.HELD:
            found(Kind.HOLD_IGNORED, f"{what} was allowed while `{decision.subject}` was on hold")
        else:
            found(kind, _because(f"{what} had to be refused", decision))

    def _admit(
        self,
        facts: AccessOpened | TokenIssued,
        leaf: Leaf,
        thumbprint: str,
        proof: Proof | None,
        budgets: Budgets,
        found: _Found,
    ) -> None:
        """The conditions at the append, then the record counts, be it right or wrong."""
        admission, policy = self._fold.admission, self._fold.register.policy
        jti = proof.claims.jti if proof is not None else facts.proof
        replay = replay_key(thumbprint, jti) if facts.certificate is UNSET else b""
        answer = admission.admit(facts, replay, budgets, leaf.time, policy)
        if isinstance(answer, Stale):
            found(Kind.STALE_DECISION, f"decided at {facts.decided}, logged at {leaf.time}")
        elif answer is not None and answer.reason is Reason.PROOF_REPLAYED:
            found(Kind.REUSED_PROOF, "the proof was used before")
        elif answer is not None and answer.reason is Reason.BUDGET_SPENT:
            found(Kind.OVERSPENT_BUDGET, f"of `{answer.subject}`: {answer.detail}")
        elif answer is not None and answer.reason is Reason.RATCHET_FORKED:
            # After one that cannot be read, which is named, the line cannot be followed.
            if leaf.recipient not in self._gaps:
                found(Kind.ILLEGAL_TOKEN, _because("the token is off its line", answer))
        elif answer is not None and isinstance(facts, TokenIssued):
            found(Kind.ILLEGAL_TOKEN, _because("the token had to be refused", answer))
        try:
            admission.apply(facts, replay, budgets, leaf.time, policy, leaf.recipient)
        except VerificationError as error:
            found(Kind.REPEATED_OPEN, str(error))

    def _name_orphans(self, index: int) -> None:
        """After a restart everything left open is closed before anything is opened."""
        for access in sorted(self._orphans & self._fold.admission.open.keys()):
            self._findings.add(
                index,
                Kind.LEFT_OPEN,
                f"access `{access}` was open at a restart and not closed before the next one",
            )
        self._orphans.clear()

    def _finder(self, index: int) -> _Found:
        def found(kind: Kind, sentence: str) -> None:
            self.disputed.add(index)
            self._findings.add(index, kind, sentence)

        return found


def _fits(facts: AccessOpened) -> bool:
    """Whether the action is what the route does, and reserves tokens just if it uses them."""
    reserves = facts.action == "generate"
    return action_of(facts.method, facts.path) == facts.action and (facts.ceiling > 0) == reserves


def _because(sentence: str, refused: Refused) -> str:
    subject = f" (`{refused.subject}`)" if refused.subject else ""
    return f"{sentence}: {refused.reason}: {refused.detail}{subject}"


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
