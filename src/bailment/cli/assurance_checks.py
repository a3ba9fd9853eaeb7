"""What `bailment doctor` looks at in what recipients have to prove."""

from __future__ import annotations

from collections.abc import Iterator

from bailment.access.drilled import is_drill
from bailment.access.state import Indexed
from bailment.access.two_person import CONFIRMED, people, signers
from bailment.assurance.mass_change import held_back
from bailment.cli.checks import Finding
from bailment.spec.prose import counted

#: An evaluation that is due so long ago (ms) is late.
_LATE = 60_000


def examine_assurance(register: Indexed, now: int) -> Iterator[Finding]:
    """Look at the spec, the models' tiers, the enclaves, and the evaluations."""
    spec, state = register.spec, register.state
    if spec is None:
        yield Finding(
            "spec",
            True,
            "NO SPEC IS IN FORCE: recipients have to prove nothing, whatever the model",
            "bailment spec init FILE; then bailment spec plan FILE",
        )
        return
    yield Finding("spec", True, f"{spec.id} {spec.version} is in force")
    for name, model in sorted(state.models.items()):
        if not state.tiers.get(name) and model.canary is not True:
            says = f"nobody has decided the tier of `{name}`, so that nobody may use it"
            mend = f"bailment model tier {name} TIER --reason WHY --key FOLDER"
            yield Finding(f"tier {name}", True, says, mend)
    if not state.approvers:
        says = "there is no approver, so that no tier can be decided and nobody excused"
        yield Finding("approvers", True, says, "bailment approver add NAME --key FILE")
    yield from _people(register)
    for recipient, registered in register.organisations.items():
        if is_drill(register, recipient):
            continue
        yield from _recipient(register, recipient, registered.handle, now)
    held = [one for one in state.proven.values() if one.standing and held_back(one.standing)]
    if held:
        says = f"what expired is held for {counted(len(held), 'recipient')}: too many fell at once"
        mend = "find out whether our own collectors failed; if not, bailment standing release"
        yield Finding("mass change", False, says, mend)
    over = [one for one in state.proven.values() if one.hold == "over"]
    if over:
        says = f"what was held for {counted(len(over), 'recipient')} takes effect: too many fall"
        mend = "find out whether our own collectors failed, and collect again before the grace ends"
        yield Finding("mass change over", False, says, mend)


def _people(register: Indexed) -> Iterator[Finding]:
    """Whether there are as many people as acts take."""
    acts = register.conditions.operators.two_person - CONFIRMED
    most = max((people(register, act) for act in acts), default=0)
    there = len(set(signers(register).values()))
    if there < most:
        says = f"the spec has acts that take {most} people, and {there} can sign: until there are "
        says += "more, one may stop access, and nobody give it back"
        mend = "bailment operator invite NAME --role issuer-approver"
        yield Finding("two people", True, says, mend)


def _recipient(register: Indexed, recipient: str, handle: str, now: int) -> Iterator[Finding]:
    proven = register.proven(recipient)
    if not any(proven.scopes.values()):
        says = f"nothing is declared as {handle}'s, so that no evidence counts"
        yield Finding(f"enclave {handle}", True, says, f"bailment recipient enclave {handle} …")
    due = proven.standing.until if proven.standing else 0
    if due is not None and now > due + _LATE:
        says = f"{handle} was to be evaluated and was not"
        yield Finding(f"standing {handle}", False, says, "start the issuer, which does it at once")
