"""The decision: what is allowed, and that every single thing that is wrong refuses it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.access.chain import Link
from bailment.access.decision import LIST_MODELS, Allowed, Request, decide, models_of, standing
from bailment.access.reasons import Reason, Refused
from bailment.access.register import Register
from bailment.ledger.records import Budget, DelegationEnded, TokenIssued

from .book import DAY, PURPOSE, Book, Party

OFFICE = "10.1.0.0/16"


class Case:
    """A device along a chain of four that narrows at each link, and a token for it."""

    def __init__(self) -> None:
        self.book = book = Book()
        self.recipient = book.recipient(
            models=("small", "large"),
            purposes=(PURPOSE, "audit"),
            networks=("10.0.0.0/8", OFFICE),
            budget=Budget(1000, 60),
        )
        self.sub = book.subcontractor(self.recipient, models=("small",), networks=(OFFICE,))
        self.person = book.person(self.sub, purposes=(PURPOSE,), budget=Budget(500, 60))
        self.device = book.device(self.sub, self.person)
        self.bystander = book.device(self.recipient, book.person(self.recipient))
        self.token = book.make_token(self.device)
        self.request = book.ask(self.token, networks=("10.0.0.0/8", OFFICE))

    @property
    def path(self) -> list[Link]:
        return [self.recipient.its, self.sub.its, self.person.its, self.device.its]

    def decide(self, now: int = 0, **changes: Any) -> Allowed | Refused:
        request = msgspec.structs.replace(self.request, **changes)
        return decide(request, self.book.register, now or self.book.time)

    def with_token(self, **changes: Any) -> Allowed | Refused:
        return self.decide(token=msgspec.structs.replace(self.token, **changes))


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def reason(verdict: Allowed | Refused) -> Reason:
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


def test_what_the_whole_chain_allows_is_allowed_on_conditions(case: Case) -> None:
    assert case.decide() == Allowed(
        case.book.register.epoch,
        case.recipient.its.subject,
        tuple(
            (link.id, link.budget)
            for link in (case.recipient.its, case.person.its)
            if link.budget is not None
        ),
        100,
    )


def test_what_costs_nothing_needs_no_budget(case: Case) -> None:
    allowed = case.decide(ceiling=0)
    assert isinstance(allowed, Allowed)
    assert allowed.budgets == ()


def test_a_list_of_models_needs_none_named(case: Case) -> None:
    assert isinstance(case.decide(action=LIST_MODELS, model=""), Allowed)


WRONG: dict[str, tuple[Callable[[Case], Allowed | Refused], Reason]] = {
    "an expired token": (lambda c: c.decide(now=c.token.until), Reason.TOKEN_EXPIRED),
    "an unknown device": (lambda c: c.with_token(device="0" * 32), Reason.LINK_UNKNOWN),
    "no device": (lambda c: c.with_token(device=""), Reason.LINK_UNKNOWN),
    "a person for a device": (
        lambda c: c.with_token(device=c.person.its.subject),
        Reason.LINK_UNKNOWN,
    ),
    "no links": (lambda c: c.with_token(links=()), Reason.CHAIN_BROKEN),
    "fewer links": (lambda c: c.with_token(links=c.token.links[1:]), Reason.CHAIN_BROKEN),
    "links turned round": (lambda c: c.with_token(links=c.token.links[::-1]), Reason.CHAIN_BROKEN),
    "another's links": (
        lambda c: c.with_token(links=tuple(x.id for x in c.book.register.path(c.bystander.its.id))),
        Reason.CHAIN_BROKEN,
    ),
    "another's device": (
        lambda c: c.with_token(device=c.bystander.its.subject),
        Reason.CHAIN_BROKEN,
    ),
    "another's key": (
        lambda c: c.with_token(thumbprint=c.bystander.public.thumbprint),
        Reason.PROOF_KEY,
    ),
    "no key": (lambda c: c.with_token(thumbprint=""), Reason.PROOF_KEY),
    "another purpose": (lambda c: c.with_token(purpose="audit"), Reason.PURPOSE_OUTSIDE_CHAIN),
    "no purpose": (lambda c: c.with_token(purpose=""), Reason.PURPOSE_OUTSIDE_CHAIN),
    "a model outside a middle link": (
        lambda c: c.decide(model="large"),
        Reason.MODEL_OUTSIDE_CHAIN,
    ),
    "an unknown model": (lambda c: c.decide(model="huge"), Reason.MODEL_OUTSIDE_CHAIN),
    "no model": (lambda c: c.decide(model=""), Reason.MODEL_OUTSIDE_CHAIN),
    "a token for another model": (
        lambda c: c.with_token(models=("large",)),
        Reason.MODEL_OUTSIDE_CHAIN,
    ),
    "no network": (lambda c: c.decide(networks=()), Reason.NETWORK_OUTSIDE_CHAIN),
    "a network outside a middle link": (
        lambda c: c.decide(networks=("10.0.0.0/8",)),
        Reason.NETWORK_OUTSIDE_CHAIN,
    ),
    "a network of nobody": (
        lambda c: c.decide(networks=("192.0.2.0/24",)),
        Reason.NETWORK_OUTSIDE_CHAIN,
    ),
    "before the chain": (lambda c: c.decide(now=c.recipient.its.start - 1), Reason.LINK_EARLY),
}


@pytest.mark.parametrize("name", WRONG)
def test_any_one_thing_that_is_wrong_refuses(case: Case, name: str) -> None:
    attempt, expected = WRONG[name]
    assert reason(attempt(case)) is expected
    assert isinstance(case.decide(), Allowed)


@pytest.mark.parametrize("action", [LIST_MODELS, "generate", "count-tokens", "anything"])
@pytest.mark.parametrize("name", [name for name in WRONG if "model" not in name])
def test_no_action_escapes(case: Case, name: str, action: str) -> None:
    request = msgspec.structs.replace(case.request, action=action)
    escaped = object.__new__(Case)
    escaped.__dict__ = {**case.__dict__, "request": request}
    attempt, expected = WRONG[name]
    assert reason(attempt(escaped)) is expected


@pytest.mark.parametrize("level", range(4))
def test_any_ended_link_refuses_and_is_named(level: int) -> None:
    case = Case()
    link = case.path[level]
    case.book.add(DelegationEnded(link.id, "t", "x"))
    verdict = case.decide()
    assert reason(verdict) is Reason.LINK_ENDED
    assert isinstance(verdict, Refused)
    assert verdict.subject == f"link:{link.id}"


@pytest.mark.parametrize("level", range(4))
def test_any_link_refuses_outside_its_own_time_and_is_named(level: int) -> None:
    book = Book()
    begin, end = book.time + DAY, book.time + 2 * DAY
    times: list[dict[str, Any]] = [
        {"start": begin, "until": end} if n == level else {} for n in range(4)
    ]
    recipient = book.recipient(**times[0])
    sub = book.subcontractor(recipient, **times[1])
    person = book.person(sub, **times[2])
    if level == 0:
        book.time = begin
    device = book.device(sub, person, **times[3])
    token = book.make_token(device, until=end + DAY)
    request = book.ask(token)
    link = [recipient.its, sub.its, person.its, device.its][level]
    for now, expected in ((begin - 1, Reason.LINK_EARLY), (end, Reason.LINK_EXPIRED)):
        verdict = decide(request, book.register, now)
        assert reason(verdict) is expected
        assert isinstance(verdict, Refused)
        # Where all below inherit its time, the first of them on the way down is named.
        assert verdict.subject == f"link:{link.id}"
    for now in (begin, end - 1):
        assert isinstance(decide(request, book.register, now), Allowed)


def test_a_hold_on_any_subject_refuses_and_is_named() -> None:
    subjects = ["everything", "model:small", f"purpose:{PURPOSE}", f"network:{OFFICE}"]
    subjects += [f"{link.kind}:{link.subject}" for link in Case().path]
    subjects += [f"link:{link.id}" for link in Case().path]
    for subject in subjects:
        case = Case()  # ids are the same in each
        case.book.hold(subject)
        verdict = case.decide()
        assert reason(verdict) is Reason.HELD, subject
        assert isinstance(verdict, Refused)
        assert verdict.subject == subject


def test_a_hold_refuses_an_expired_token_no_earlier_than_its_end(case: Case) -> None:
    """An access in flight outlives its token, and nothing else."""
    late = case.token.until + 1
    assert isinstance(standing(case.request, case.book.register, late), Allowed)
    assert reason(case.decide(now=late)) is Reason.TOKEN_EXPIRED


def test_models_are_those_that_would_be_allowed(case: Case) -> None:
    register, now = case.book.register, case.book.time
    networks = case.request.networks
    assert models_of(case.token, register, networks, now) == ["small"]
    assert models_of(case.token, register, (), now) == []
    assert models_of(case.book.make_token(case.bystander), register, networks, now) == [
        "large",
        "small",
    ]


def test_an_empty_register_allows_nothing(case: Case) -> None:
    assert reason(decide(case.request, Register(), case.book.time)) is Reason.LINK_UNKNOWN


# Any combination


class Forest:
    """Two recipients, each with subcontractors, people and devices; built once, for it is slow."""

    def __init__(self) -> None:
        self.book = book = Book()
        self.devices: list[Party] = []
        for models in (("small",), ("small", "large")):
            recipient = book.recipient(models=models, purposes=(PURPOSE, "audit"))
            organisations = [recipient, book.subcontractor(recipient, networks=(OFFICE,))]
            organisations.append(book.subcontractor(organisations[1], purposes=("audit",)))
            for organisation in organisations:
                for _ in range(2):
                    person = book.person(organisation)
                    self.devices += [book.device(organisation, person) for _ in range(2)]
        self.tokens = [book.make_token(device) for device in self.devices]
        self.snapshot = book.fold.encode()

    def copy(self) -> Register:
        """A register of its own, to end links and add holds in."""
        return type(self.book.fold).decode(self.snapshot).register


FOREST = Forest()
LINKS = sorted(FOREST.book.register.links)
SUBJECTS = sorted(
    {"everything", "model:small", "model:large", f"purpose:{PURPOSE}", "purpose:audit"}
    | {f"link:{link}" for link in LINKS}
    | {f"{link.kind}:{link.subject}" for link in FOREST.book.register.links.values()}
)
TIMES = st.sampled_from(
    [0, FOREST.book.time - 1, FOREST.book.time, FOREST.book.time + 300_000, 2**60]
)


@st.composite
def tokens(draw: st.DrawFn) -> TokenIssued:
    """A token of the forest, of which some parts are another's."""
    token = draw(st.sampled_from(FOREST.tokens))
    other = draw(st.sampled_from(FOREST.tokens))
    changed: set[str] = draw(st.sets(st.sampled_from(["device", "links", "thumbprint"])))
    changes: dict[str, Any] = {name: getattr(other, name) for name in changed}
    purpose = draw(st.sampled_from([PURPOSE, "audit", "profit"]))
    models = draw(st.sampled_from([(), ("small",), ("large", "small"), ("huge",)]))
    return msgspec.structs.replace(token, purpose=purpose, models=models, **changes)


REQUESTS = st.builds(
    Request,
    tokens(),
    st.sampled_from(["generate", LIST_MODELS]),
    st.sampled_from(["small", "large", "huge", ""]),
    st.sampled_from([(), (OFFICE,), ("192.0.2.0/24", OFFICE)]),
    st.integers(0, 1000),
)


def allowed_by_hand(request: Request, register: Register, now: int) -> bool:
    """What the design says, word for word and without the product's helpers."""
    token, state = request.token, register.state
    chain: list[Link] = []
    link = next((x for x in register.links.values() if x.subject == token.device), None)
    while link is not None:
        chain.insert(0, link)
        link = register.links.get(link.parent)
    if not chain or tuple(x.id for x in chain) != token.links or now >= token.until:
        return False
    if token.device not in state.devices:
        return False
    if any(state.links[x.id].ended or not x.start <= now < x.until for x in chain):
        return False
    covered = {"everything", f"model:{request.model}", f"purpose:{token.purpose}"}
    covered |= {f"network:{block}" for block in request.networks}
    covered |= {f"{x.kind}:{x.subject}" for x in chain} | {f"link:{x.id}" for x in chain}
    if any(h.subject in covered and (not h.until or now < h.until) for h in state.holds.values()):
        return False
    for x in chain:
        if x.purposes and token.purpose not in x.purposes:
            return False
        if x.networks and not set(x.networks) & set(request.networks):
            return False
        if request.action != LIST_MODELS and x.models and request.model not in x.models:
            return False
    if request.action != LIST_MODELS and token.models and request.model not in token.models:
        return False
    device = next(d for d in FOREST.devices if d.its.subject == token.device)
    return device.public.thumbprint == token.thumbprint


@settings(max_examples=300)
@given(
    REQUESTS,
    TIMES,
    st.lists(st.sampled_from(SUBJECTS), max_size=2),
    st.lists(st.sampled_from(LINKS), max_size=2, unique=True),
)
def test_the_decision_is_the_designs_and_never_throws(
    request: Request, now: int, holds: list[str], ended: list[str]
) -> None:
    register = FOREST.copy() if holds or ended else FOREST.book.register
    for subject in holds:
        book_hold(register, subject)
    for link in ended:
        register.state.links[link].ended = True
    verdict = decide(request, register, now)
    assert isinstance(verdict, Allowed) == allowed_by_hand(request, register, now)


def book_hold(register: Register, subject: str) -> None:
    from bailment.ledger.records import HoldAdded

    register.apply(register.epoch, HoldAdded(os.urandom(16).hex(), subject, "r", "t"), 1)


@given(
    st.builds(
        Request,
        st.builds(
            TokenIssued,
            *[st.text(max_size=8)] * 3,
            st.lists(st.text(max_size=4)).map(tuple),
            st.lists(st.text(max_size=4)).map(tuple),
            *[st.text(max_size=8)] * 3,
            *[st.integers()] * 3,
            *[st.text(max_size=8)] * 2,
        ),
        st.text(),
        st.text(),
        st.lists(st.text()).map(tuple),
        st.integers(),
    ),
    st.integers(),
)
def test_nonsense_is_refused_and_never_throws(request: Request, now: int) -> None:
    assert isinstance(decide(request, FOREST.book.register, now), Refused)


@given(st.sampled_from(LINKS))
def test_cutting_a_link_kills_exactly_what_is_below_it(cut: str) -> None:
    register = FOREST.copy()
    before = {token.device: standing_now(register, token) for token in FOREST.tokens}
    register.apply(register.epoch, DelegationEnded(cut, "t", "x"), FOREST.book.time)
    for token in FOREST.tokens:
        if cut in token.links:
            verdict = decide(request_of(token), register, FOREST.book.time)
            assert reason(verdict) is Reason.LINK_ENDED
        else:
            assert standing_now(register, token) == before[token.device]


def request_of(token: TokenIssued) -> Request:
    """A request that the forest allows, whatever its branch narrows."""
    links = FOREST.book.register.links
    audit = any(links[link].purposes == ("audit",) for link in token.links)
    token = msgspec.structs.replace(token, purpose="audit" if audit else PURPOSE)
    return Request(token, "generate", "small", (OFFICE,), 0)


def standing_now(register: Register, token: TokenIssued) -> bool:
    allowed = isinstance(decide(request_of(token), register, FOREST.book.time), Allowed)
    assert allowed or any(register.state.links[link].ended for link in token.links)
    return allowed
