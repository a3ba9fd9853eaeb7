"""A plan to apply a spec, as it is saved and read by people, and what makes it stale.

What was read is what is applied: the plan carries the whole spec, and the effects that its reader
saw. It is stale once another spec is in force, or once it would do something else. The file has the
digest of all else in it, so that a careless edit is found out; whoever edits with care writes
another digest, which is not the one that was read.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bailment import canonical
from bailment.access.assured import counting
from bailment.access.state import Indexed, read_spec
from bailment.assurance.evaluation import digest_of_inputs
from bailment.assurance.plan import Effect, Holding, plan
from bailment.errors import FormatError
from bailment.spec.compiled import compile_spec

FORMAT: Literal["bailment-plan/v1"] = "bailment-plan/v1"
#: The longest plan, bytes.
MAX_PLAN = 2**20


class SpecPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To apply `document` in the place of the spec with the digest `before`, empty if there is
    none; `inputs` commits to everybody's evidence and exceptions. Made at `at`, ms."""

    format: Literal["bailment-plan/v1"]
    at: int
    before: str
    inputs: str
    document: dict[str, Any]
    effects: tuple[Effect, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hex."""
        return canonical.digest(canonical.encode(self))

    @property
    def spec(self) -> str:
        """The digest of the spec to be applied, hex."""
        return canonical.digest(canonical.encode(self.document))

    @property
    def pending(self) -> bool:
        """Whether applying it changes anything: the spec, if nobody's standing."""
        return self.spec != self.before

    @property
    def saved(self) -> dict[str, Any]:
        """The JSON value of its file: the plan, and its digest."""
        value: dict[str, Any] = canonical.decode(canonical.encode(self))
        return {"digest": self.digest, **value}


def draw(register: Indexed, document: dict[str, Any], at: int) -> SpecPlan:
    """The plan to put a spec's JSON value in force; FormatError if it is no spec."""
    new = compile_spec(read_spec(document))
    state = register.state
    holdings = {}
    for recipient in register.organisations:
        proven = register.proven(recipient)
        holdings[recipient] = Holding(counting(proven), proven.grants, proven.standing)
    inputs = {name: digest_of_inputs(one.items, one.exceptions) for name, one in holdings.items()}
    return SpecPlan(
        format=FORMAT,
        at=at,
        before=state.spec if register.spec else "",
        inputs=canonical.digest(canonical.encode(inputs)),
        document=document,
        effects=plan(register.spec, new, holdings, at),
    )


def read_plan(data: bytes) -> SpecPlan:
    """A plan from its file; FormatError if it is none, or was edited."""
    if len(data) > MAX_PLAN:
        raise FormatError(f"a plan has at most {MAX_PLAN >> 10} KiB")
    hint = "bailment spec plan FILE -o PLAN writes one"
    try:
        value = canonical.parse_unique(data)
        digest = value.pop("digest", "") if isinstance(value, dict) else ""
        read = msgspec.convert(value, SpecPlan)
    except (FormatError, msgspec.ValidationError) as error:
        raise FormatError(f"not a plan: {error}", hint=hint) from None
    if digest != read.digest:
        raise FormatError("the plan was edited; draw it anew", hint=hint)
    return read


def is_plan(data: bytes) -> bool:
    """Whether it is a plan's file, even of an edited one."""
    try:
        value = canonical.parse_unique(data)
    except FormatError:
        return False
    return isinstance(value, dict) and value.get("format") == FORMAT


def stale(register: Indexed, saved: SpecPlan, now: int) -> str:
    """Why what would happen now is not what the plan says; empty if it is.

    New evidence that changes no effect makes no plan stale, nor does an instant that moves with
    the time at which the plan is applied.
    """
    again = draw(register, saved.document, now)
    if not again.pending:
        return "its spec is in force already"
    if again.before != saved.before:
        return "another spec was applied since"
    if _told(again) == _told(saved):
        return ""
    if again.inputs != saved.inputs:
        return "evidence or exceptions came since, and it would do something else"
    return "time has passed since, and it would do something else"


def _told(plan: SpecPlan) -> list[Effect]:
    effects = (msgspec.structs.replace(effect, at=0) for effect in plan.effects)
    return sorted(effects, key=lambda effect: effect.recipient)
