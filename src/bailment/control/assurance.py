"""What decides who may: the spec, enclaves, evidence, exceptions and models' tiers, as records.

Nobody is given a tier here. These actions put in what standing follows from, and the evaluator
derives it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bailment import canonical
from bailment.access.account import Account, account
from bailment.access.assured import sign_spec, traces_of
from bailment.access.planning import SpecPlan, stale
from bailment.access.reasons import Reason, Refused
from bailment.access.register import Register
from bailment.access.state import read_spec
from bailment.assurance import intake
from bailment.assurance.adapters.reading import scope_key
from bailment.assurance.adapters.recognition import read
from bailment.assurance.adapters.report import Report
from bailment.assurance.capability import Decision, objection
from bailment.assurance.capacity import is_crowded
from bailment.assurance.intake import Submission, Submitter
from bailment.assurance.item import Item
from bailment.assurance.matching import MAX_ACCOUNTS
from bailment.assurance.reasons import EvidenceReason, EvidenceRefused
from bailment.assurance.signers import Signer, parse_key
from bailment.control.actions import Actions, Denied
from bailment.errors import ConfigurationError, FormatError
from bailment.ledger import evidence_records as records
from bailment.ledger.facts import Facts
from bailment.ledger.records import SpecApplied, spec_digest
from bailment.settings import Assessor
from bailment.spec.compiled import Kind
from bailment.spec.policy import policy_of

#: Of a plan: what its record has already.
_NOT_SHOWN = ("digest", "document")


@dataclass(frozen=True, slots=True)
class Handed:
    """What a file is handed in as: about whom, as which kind of evidence, collected by whom.

    `collector` is another recipient's pseudonym where `by` is `peer`, and what the issuer calls
    itself or its tool where it is the issuer.
    """

    recipient: str
    kind: str
    by: Submitter
    author: str
    collector: str = ""
    simulated: bool = False


class Assurance:
    """The actions, over one log. `signers` are those whose signature under evidence counts, by the
    handle of the recipient that they belong to, under an empty one for all."""

    def __init__(self, actions: Actions, signers: Mapping[str, Sequence[Signer]]) -> None:
        self._actions = actions
        self._signers = signers
        #: Of two that hand in the same at once, one is first.
        self._intake = asyncio.Lock()
        #: A file may take a hundred times its size in memory while it is parsed: one at a time.
        self._parsing = asyncio.Lock()

    @property
    def _register(self) -> Register:
        return self._actions.log.fold.register

    async def apply_spec(self, plan: SpecPlan, author: str) -> str:
        """Put a plan's spec in force, if the plan is still what would happen; the spec's digest."""
        policy = policy_of(read_spec(plan.document).policy)
        facts = SpecApplied(policy, author, plan.document, plan=plan.digest)
        signature = sign_spec(spec_digest(facts), self._actions.secrets.issuer)
        return await self._apply(msgspec.structs.replace(facts, signature=signature), plan)

    async def apply_approved(self, facts: SpecApplied, shown: Mapping[str, Any]) -> dict[str, Any]:
        """The same, once as many as it takes have signed what the plan showed them."""
        plan = msgspec.convert({**shown, "document": facts.document}, SpecPlan)
        return {"spec": await self._apply(facts, plan)}

    async def _apply(self, facts: SpecApplied, plan: SpecPlan) -> str:
        def make(now: int) -> Facts:
            if why := stale(self._register, plan, now):
                raise Denied(Refused(Reason.CHAIN_BROKEN, f"the plan is stale: {why}"))
            return facts

        shown = {name: value for name, value in plan.saved.items() if name not in _NOT_SHOWN}
        await self._actions.append(make, shown=shown)
        return self._register.state.spec

    async def declare_enclave(
        self, recipient: str, scopes: Mapping[str, Sequence[str]], author: str
    ) -> None:
        """Say which tenants, accounts and organisations are the recipient's, in place of before."""
        told = {
            kind: tuple(dict.fromkeys(map(scope_key, ids))) for kind, ids in scopes.items() if ids
        }
        await self._actions.append(lambda now: records.EnclaveDeclared(recipient, told, author))

    async def register_approver(
        self, name: str, key: dict[str, str], author: str, approvals: tuple[str, ...] = ()
    ) -> None:
        """Let a person's signature approve decisions; without a key, no longer."""
        facts = records.ApproverRegistered(name, key, author, approvals)
        await self._actions.append(lambda now: facts)

    async def decide_tier(
        self, decision: dict[str, Any], approvals: tuple[str, ...], author: str
    ) -> None:
        """Put a model into the tier that an approver's signed decision says."""
        try:
            decided = msgspec.convert(decision, Decision)
        except msgspec.ValidationError as error:
            raise FormatError(f"the decision is wrong: {error}") from None

        def make(now: int) -> Facts:
            spec = self._register.spec
            if spec is not None and (why := objection(decided, spec)):
                raise _denied(why)
            told = decided.model, decided.tier, decision, approvals, author
            return records.ModelTiered(*told)

        await self._actions.append(make)

    async def grant_exception(
        self,
        recipient: str,
        grant: dict[str, Any],
        text: str,
        approvals: tuple[str, ...],
        author: str,
    ) -> None:
        """Excuse a recipient from a requirement, as the approvers signed it."""
        facts = records.ExceptionGranted(recipient, grant, text, approvals, author)
        await self._actions.append(lambda now: facts)

    async def receive(self, handed: Handed, data: bytes) -> tuple[Item, ...] | EvidenceRefused:
        """Take a file in as evidence: its items, each a record, all or none of them in the log; or
        why it is none, which is a record too. Of the file itself only the SHA-256 is kept."""
        kind = self._kind(handed)
        handle = self._register.organisations[handed.recipient].handle
        signers = (*self._signers.get("", ()), *self._signers.get(handle, ()))
        async with self._parsing:
            report = await asyncio.to_thread(read, data, signers, kind.adapter)
        async with self._intake:
            taken = (
                report
                if isinstance(report, EvidenceRefused)
                else await self._take(report, handed, kind)
            )
            if isinstance(taken, EvidenceRefused):
                digest = hashlib.sha256(data).hexdigest()
                refused = records.EvidenceRefused(
                    handed.recipient, handed.kind, digest, taken.reason.value, handed.author
                )
                await self._actions.append(lambda now: refused)
                return taken
            # Together: of what is about several scopes nobody is left with a half, which could not
            # be handed in again.
            facts = [_received(handed.recipient, item, handed.author) for item in taken]
            await self._actions.append_together(facts)
            return taken

    def account(self, recipient: str) -> Account:
        """How a recipient stands now."""
        return account(self._register, recipient, self._actions.log.sequencer.time)

    async def record(self, recipient: str, item: Item, author: str) -> None:
        """Append an item as it is; the register's rule has the last word."""
        facts = _received(recipient, item, author)
        await self._actions.append(lambda now: facts)

    def _kind(self, handed: Handed) -> Kind:
        """The kind that is handed in, of somebody of whom it can be told whose it is."""
        register = self._register
        if register.spec is None:
            raise _denied("there is no spec that asks for evidence")
        if handed.recipient not in register.organisations:
            raise _denied("there is no such recipient")
        kind = register.spec.kinds.get(handed.kind)
        if kind is None:
            raise _denied(f"the spec has no evidence `{handed.kind}`")
        if not register.proven(handed.recipient).scopes.get(kind.scope):
            raise _denied(f"no {kind.scope} is declared as the recipient's")
        found, peer = register.organisations, register.organisations.get(handed.collector)
        ours = found[handed.recipient].recipient
        if handed.by == "peer" and (peer is None or peer.recipient == ours):
            raise _denied("a peer is another recipient, or somebody of another's")
        return kind

    async def _take(
        self, report: Report, handed: Handed, kind: Kind
    ) -> tuple[Item, ...] | EvidenceRefused:
        if report.accounts is not None and len(report.accounts) > MAX_ACCOUNTS:
            return EvidenceRefused(
                EvidenceReason.TOO_LARGE, f"a roster lists at most {MAX_ACCOUNTS} accounts"
            )
        register, log = self._register, self._actions.log
        traces = traces_of(handed.recipient, kind.name, report.report, report.digest)
        again = any(trace in register.state.submitted for trace in traces)
        collector = handed.recipient if handed.by == "recipient" else handed.collector
        submission = Submission(
            kind=kind,
            scopes=tuple(register.proven(handed.recipient).scopes.get(kind.scope, ())),
            by=handed.by,
            collector=collector or handed.by,
            skew=register.policy.skew_ms,
            reports=(report.report,) if again else (),
            people=await self._people(handed.recipient, named=report.accounts is not None),
            simulated=handed.simulated,
        )
        item, now = os.urandom(16).hex(), log.sequencer.time
        # Matching takes seconds for a large roster; nothing that it is given ever changes.
        taken = await asyncio.to_thread(intake.receive, report, submission, item=item, now=now)
        spec, kept = register.spec, register.proven(handed.recipient).items
        if spec is None or isinstance(taken, EvidenceRefused):
            return taken
        if is_crowded(kept, taken, spec, now):
            raise _denied("too many items count already: hand in fewer; older ones still count")
        return taken

    async def _people(self, recipient: str, *, named: bool) -> dict[str, tuple[str, ...]]:
        """The organisation's people and those of its subcontractors, and if `named` what each is
        known by in a directory: the email address that the admin signed."""
        register, people = self._register, self._actions.people
        theirs = {
            link.subject
            for link in register.links.values()
            if link.kind == "person"
            and any(above.subject == recipient for above in register.path(link.id))
        }
        if not named:
            return dict.fromkeys(theirs, ())
        await people.load(theirs)
        emails = {person: people.of(person).get("email", "") for person in theirs}
        return {person: (email,) if email else () for person, email in emails.items()}


def known_signers(assessors: Mapping[str, Assessor], folder: Path) -> dict[str, tuple[Signer, ...]]:
    """Those whose signature under evidence counts; ConfigurationError if a key cannot be read."""
    found: dict[str, tuple[Signer, ...]] = {}
    for name, one in assessors.items():
        try:
            key = parse_key((folder / one.key).read_bytes())
        except (OSError, FormatError) as error:
            raise ConfigurationError(f"assessors.{name}.key: `{one.key}`: {error}") from None
        signer = Signer(
            name,
            "self" if one.recipient else "third-party",
            key,
            frozenset(one.kinds),
            one.simulated,
        )
        found[one.recipient] = (*found.get(one.recipient, ()), signer)
    return found


def _received(recipient: str, item: Item, author: str) -> records.EvidenceReceived:
    return records.EvidenceReceived(recipient, canonical.decode(canonical.encode(item)), author)


def _denied(detail: str) -> Denied:
    return Denied(Refused(Reason.CHAIN_BROKEN, detail))
