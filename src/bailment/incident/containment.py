"""A plan to contain an incident: what to hold, mark stale and replace, and whom that cuts off.

A plan is a value: it is shown, saved, and executed as it was saved or not at all. Each hold carries
the digest of whom it covered when the plan was made; where that changed it is not executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType
from typing import Literal

import msgspec
from msgspec import UNSET

from bailment import canonical
from bailment.access.chain import Link
from bailment.access.coverage import Covered, covered, dead
from bailment.access.coverage import digest as digest_of
from bailment.access.decision import Request, standing
from bailment.access.holds import held, subject_exists, subjects_along, subjects_of
from bailment.access.reasons import Refused
from bailment.access.register import Register
from bailment.access.state import Indexed
from bailment.incident.blast_radius import CALLERS, Radius, Use
from bailment.incident.graph import Graph
from bailment.incident.stepping_down import Lost, lost
from bailment.ledger.records import TokenIssued

#: What may be put on hold when an incident is about it.
_HELD = ("recipient", "subcontractor", "person", "device", "workload", "link", "key", "model")
#: Whose credentials recipients can replace.
_ROTATED = ("device", "workload", "link", "recipient", "subcontractor", "source")
#: A plan in JSON, bytes: some 30,000 people.
MAX_CONTAINMENT = 2**23
_NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType({})
Why = Literal["subject", "exposed", "beside"]
State = Literal["live", "held", "ended"]


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing to do.

    `act` is `hold`, `rotate`, `stale`, or `held` for what is on hold already until somebody lifts
    that, and must stay so. Of a
    hold `selects` is the digest of whom it covers, of a rotation `organisation` is who must replace
    the credential within `within` ms, and `stale` marks the organisation's evidence of `kinds`.
    """

    act: Literal["hold", "held", "rotate", "stale"]
    subject: str
    why: str
    selects: str = ""
    organisation: str = ""
    within: int = 0
    kinds: tuple[str, ...] = ()


class Cut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody whom the plan cuts off: a person or a workload with the devices, by which holds.

    `why` is `subject` for whom the incident is about, `exposed` for who could be reached from
    there, and `beside` for who is cut all the same. `per_day` is how many accesses a day they made
    in the last week, rounded up. `already`: none of them was let in before.
    """

    subject: str
    recipient: str
    devices: tuple[str, ...]
    by: tuple[str, ...]
    why: Why
    per_day: int
    already: bool


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device or workload of the extent, and what its key was good for when the plan was made."""

    subject: str
    state: State


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it: `made` in ms, `epoch` the register's position that it was made at. `credentials`
    are all that the incident is about, that could be reached, or that are cut: whoever verifies the
    containment decides about each of them again, by whatever it was cut. `lost` is what follows
    from evidence that is marked stale."""

    incident: str
    made: int
    epoch: int
    starts: tuple[str, ...]
    acts: tuple[Act, ...]
    cut: tuple[Cut, ...]
    credentials: tuple[Credential, ...]
    lost: tuple[Lost, ...] = ()

    @property
    def digest(self) -> str:
        """What the plan is known by: SHA-256 of its canonical JSON, hex."""
        return canonical.digest(canonical.encode(self))

    @property
    def beside(self) -> list[Cut]:
        """Those who are cut, and are neither whom it is about nor exposed."""
        return [one for one in self.cut if one.why == "beside" and not one.already]


def plan(
    register: Indexed,
    graph: Graph,
    radius: Radius,
    incident: str,
    recent: Sequence[Use],
    rotate_ms: int,
    now: int,
    stale: Mapping[str, tuple[str, ...]] = _NOTHING,
) -> Plan:
    """What would contain this; `recent` is what everybody did in the last seven days, `stale` has
    by organisation the kinds of evidence to mark, of which somebody has to say them."""
    covers = {one: covered(register, one, now) for one in _held_by(register, graph, radius, now)}
    acts = [
        Act("held", subject, "on hold already")
        if for_good(register, subject)
        else Act("hold", subject, _reason(radius, subject), selects=digest_of(people))
        for subject, people in covers.items()
    ]
    acts += (
        Act("stale", f"{register.organisations[one].kind}:{one}", ", ".join(kinds), kinds=kinds)
        for one, kinds in stale.items()
    )
    acts += (
        Act("rotate", subject, why, organisation=organisation, within=rotate_ms)
        for subject, organisation, why in credentials(register, graph, radius, now, below=False)
    )
    states = {one: _state(register, one, now) for one in _extent(radius, covers)}
    cut = _cut(radius, covers, recent, states)
    found = tuple(Credential(*one) for one in states.items())
    off = {one.subject for one in cut}
    told = tuple(lost(register, one, kinds, off, recent, now) for one, kinds in stale.items())
    return Plan(incident, now, register.epoch, radius.starts, tuple(acts), cut, found, told)


def read_plan(data: bytes) -> Plan:
    """A plan as it was saved; msgspec.ValidationError or DecodeError if it is none."""
    return msgspec.json.decode(data, type=Plan)


def still_allowed(register: Register, devices: Iterable[str], now: int) -> list[str]:
    """Those of these devices and workloads that some model would still be given to, decided as for
    a token that was made this instant: for each purpose, however it is presented, and from each
    network that their chains declare, since a hold may be on one of them alone."""
    found = []
    for device in devices:
        path = register.path(register.link_of.get(device, ""))
        if path and any(_allowed(register, path, model, now) for model in register.state.models):
            found.append(f"{path[-1].kind}:{device}")
    return found


def cut_by(register: Indexed, subjects: Iterable[str], now: int) -> list[str]:
    """The devices and workloads that a hold on one of these subjects covers, or has covered, and
    those whose delegation is over as well."""
    wanted = dict.fromkeys(subjects)
    found = [
        f"{link.kind}:{link.subject}"
        for link in register.links.values()
        if link.kind in CALLERS
        and not wanted.keys().isdisjoint(subjects_along(register.path(link.id)))
    ]
    for subject in wanted:
        if subject.partition(":")[0] not in (*CALLERS, "link"):
            for people in covered(register, subject, now):
                found += _callers(people)
    return list(dict.fromkeys(found))


def for_good(register: Indexed, subject: str) -> str:
    """The hold on a subject that only a person ends, and no clock; empty if there is none."""
    return next((one.hold for one in register.holds_on.get(subject, ()) if not one.until), "")


def _allowed(register: Register, path: list[Link], model: str, now: int) -> bool:
    asked = (
        Request(token, "generate", model, networks, 0)
        for token in _tokens(register, path, now)
        for networks in _places(register, path)
    )
    return any(not isinstance(standing(one, register, now), Refused) for one in asked)


def _tokens(register: Register, path: list[Link], now: int) -> Iterator[TokenIssued]:
    """The tokens that could be made of a chain this instant."""
    last = path[-1]
    thumbprint = register.key(last.key).thumbprint if last.key is not None else ""
    links = tuple(link.id for link in path)
    person = path[-2].subject if len(path) > 1 else ""
    for purpose in next((link.purposes for link in reversed(path) if link.purposes), ("",)):
        for certificate in (UNSET, "0" * 43):
            yield TokenIssued(
                *("0" * 43, last.subject, person, links, (), purpose, "hw-attested", thumbprint),
                *(now, now + 1, now, "", ""),
                certificate=certificate,
            )


def _places(register: Register, path: list[Link]) -> list[tuple[str, ...]]:
    """From where a chain may be used: the declared networks that an address lies in, for one in
    each network of the chain and in none that is smaller."""
    blocks = list(dict.fromkeys(block for link in path for block in link.networks))
    marked = [one.partition(":")[2] for one in register.holds_on if one.startswith("network:")]
    every = {one: ip_network(one) for one in (*blocks, *marked)}
    return [
        tuple(one for one, around in every.items() if _within(every[block], around))
        for block in blocks
    ] or [()]


def _within(block: IPv4Network | IPv6Network, around: IPv4Network | IPv6Network) -> bool:
    return block.version == around.version and block.subnet_of(around)  # type: ignore[arg-type]


def _extent(radius: Radius, covers: dict[str, list[Covered]]) -> list[str]:
    """The devices and workloads that it is about, that could be reached, or that a hold covers."""
    found = [*radius.starts, *(one.node for one in radius.reached)]
    for one in (one for people in covers.values() for one in people):
        found += _callers(one)
    return [one for one in dict.fromkeys(found) if one.partition(":")[0] in CALLERS]


def _callers(one: Covered) -> list[str]:
    workload = one.subject.startswith("workload:")
    return [one.subject] if workload else [f"device:{name}" for name in one.devices]


def _state(register: Indexed, subject: str, now: int) -> State:
    name = subject.partition(":")[2]
    path = register.path(register.link_of.get(name, ""))
    if not path or dead(register, subject, now):
        return "ended"
    key = register.key(path[-1].key).thumbprint if path[-1].key is not None else ""
    return "held" if held(register, subjects_of(path, "", "", (), key), now) else "live"


def _held_by(register: Indexed, graph: Graph, radius: Radius, now: int) -> Iterator[str]:
    """The subjects to hold: what it is about itself, or, where nobody can hold that (a shared
    system, a vendor, a network that no delegation declares), the first behind it that somebody
    can."""
    left, known = list(radius.starts), set()
    while left:
        subject = left.pop(0)
        if subject in known:
            continue
        known.add(subject)
        kind = subject.partition(":")[0]
        can = kind in _HELD and subject_exists(register, subject)
        if not can:
            left += (to for to, _ in graph.after(subject))
        elif not dead(register, subject, now):
            yield subject


def credentials(
    register: Indexed, graph: Graph, radius: Radius, now: int, *, below: bool = True
) -> Iterator[tuple[str, str, str]]:
    """Every credential that it is about, that could be reached (where `below`), or that a shared
    system keeps which could be reached: whose it is, which organisation can replace it, and why.
    What can never be used again need not be replaced."""
    reached = [one.node for one in radius.reached]
    kept = {
        subject
        for node in (*radius.starts, *reached)
        if node.startswith("system:") and (one := graph.custody.get(node.partition(":")[2]))
        for subject in one.stored
    }
    wanted = [one for one in radius.starts if one.partition(":")[0] in CALLERS]
    wanted += [one for one in reached if below and one.partition(":")[0] in CALLERS]
    for subject in dict.fromkeys((*wanted, *sorted(kept))):
        kind, _, name = subject.partition(":")
        organisation = _keeper(register, kind, name)
        if kind in _ROTATED and organisation and not dead(register, subject, now):
            kept_there = "kept in a shared system that was exposed"
            yield subject, organisation, kept_there if subject in kept else "exposed"


def _keeper(register: Indexed, kind: str, name: str) -> str:
    """The organisation that can replace a credential: the nearest above it."""
    if kind == "source":
        source = register.state.sources.get(name)
        return source.organisation if source is not None else ""
    link = name if kind == "link" else register.link_of.get(name, "")
    for one in reversed(register.path(link)):
        if one.kind in ("recipient", "subcontractor"):
            return one.subject
    return ""


def _cut(
    radius: Radius,
    covers: dict[str, list[Covered]],
    recent: Sequence[Use],
    states: dict[str, State],
) -> tuple[Cut, ...]:
    rates: dict[str, int] = {}
    for use in recent:
        rates[use.device] = rates.get(use.device, 0) + use.count
    starts, reached = set(radius.starts), {one.node for one in radius.reached}
    found: dict[str, Cut] = {}
    for subject, people in covers.items():
        for one in people:
            known = found.get(one.link)
            devices = tuple(dict.fromkeys((*(known.devices if known else ()), *one.devices)))
            by = (*known.by, subject) if known else (subject,)
            theirs = devices or (one.subject.partition(":")[2],)
            was = {states[name] for name in _callers(one)}
            already = "live" not in was and (bool(was) or bool(one.held))
            per_day = -(-sum(rates.get(device, 0) for device in theirs) // 7)
            found[one.link] = Cut(
                one.subject,
                one.recipient,
                devices,
                by,
                _why(one, starts, reached),
                per_day,
                already and (known is None or known.already),
            )
    return tuple(found.values())


def _why(one: Covered, starts: set[str], reached: set[str]) -> Why:
    nodes = {one.subject, f"link:{one.link}", *(f"device:{name}" for name in one.devices)}
    if nodes & starts:
        return "subject"
    return "exposed" if nodes & reached else "beside"


def _reason(radius: Radius, subject: str) -> str:
    if subject in radius.starts:
        return "the incident is about it"
    path = next((one.path for one in radius.reached if one.node == subject), ())
    return f"behind {path[0].node}" if path else "exposed"
