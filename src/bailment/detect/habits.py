"""What is usual for a person and in an organisation, and how far one request is from it.

Ages and counts are capped: what grows with time fools whatever was calibrated earlier. A request
is looked at before it is learnt.
"""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec

from bailment.detect.event import Event
from bailment.detect.memory import entry

HOUR, DAY = 3_600_000, 86_400_000
#: What a person's tables hold, those of an organisation, and how many there are.
_NETWORKS, _CLIENTS, _WORKSPACES, _CLUSTERS, _RECENT, _STRANGE = 24, 16, 48, 48, 32, 16
_SHARED, _PEERS, _PEOPLE, _ORGANISATIONS = 1_024, 4, 10_000, 1_000
_AGE, _COUNT = 14.0, 50

FEATURES = (
    *("network_age", "network_count", "network_peers", "hosting", "vpn_or_tor", "country_count"),
    *("client_age", "client_count", "machine_count", "version_count", "version_peers"),
    *("workspace_age", "workspace_count", "workspace_peers", "cluster_count"),
    *("other_network_minutes", "switches", "networks_of_day", "new_networks", "new_clients"),
    *("new_workspaces", "unseen_workspaces_of_hours", "conversations", "turn_gap", "jumps"),
    *("hour_share", "day_ratio", "age", "count", "known_networks", "workspaces_a_day"),
    *("version_age", "machines_of_day", "strange_of_hours", "strange_of_day", "strange_requests"),
    *("strange_conversations", "strange_returns", "strange_gap", "holder_minutes"),
    *("conversations_of_hour", "workspaces_of_hour"),
)
#: Where they stand in what `look` returns.
AT = {name: place for place, name in enumerate(FEATURES)}


class Seen(msgspec.Struct):
    """When something was seen first (ms), and how often, up to a cap."""

    first: int
    count: int = 0


class Recent(msgspec.Struct):
    """One of a person's last requests; `new` if its workspace was younger than a day."""

    time: int
    network: str
    workspace: str
    conversation: str
    new: bool


class Strange(msgspec.Struct):
    """A workspace that was new lately, and not because the program was: requests and conversations
    up to a cap, and the last of them; `gap` is the logarithm of the seconds between two of one,
    as usual lately."""

    first: int
    last: int
    count: int = 0
    conversations: int = 0
    conversation: str = ""
    gap: float = 0.0


class Habits(msgspec.Struct):
    """Of one person, or of a credential that is nobody's. `days` are the requests of the last
    active days."""

    first: int = 0
    count: int = 0
    networks: dict[str, Seen] = {}
    countries: dict[str, Seen] = {}
    clients: dict[str, Seen] = {}
    machines: dict[str, Seen] = {}
    versions: dict[str, Seen] = {}
    workspaces: dict[str, Seen] = {}
    clusters: dict[str, Seen] = {}
    hours: list[int] = msgspec.field(default_factory=lambda: [0] * 24)
    recent: list[Recent] = []
    days: list[int] = []
    day: int = 0
    strange: dict[str, Strange] = {}
    returns: list[int] = []
    own: Strange = msgspec.field(default_factory=lambda: Strange(0, 0))


class Shared(msgspec.Struct):
    """Who in an organisation, the last few, was seen with what."""

    networks: dict[str, list[str]] = {}
    workspaces: dict[str, list[str]] = {}
    versions: dict[str, list[str]] = {}


class State(msgspec.Struct):
    """Of all of them; the least recently seen is forgotten first."""

    people: dict[str, Habits] = {}
    organisations: dict[str, Shared] = {}


def of(state: State, event: Event) -> tuple[Habits, Shared]:
    """Whose habits an event is judged by."""
    who = event.person or event.credential
    habits = entry(state.people, who, _PEOPLE, Habits)
    return habits, entry(state.organisations, event.organisation, _ORGANISATIONS, Shared)


def client_of(event: Event) -> str:
    """Program and system."""
    return f"{event.context.client} {event.context.system}"


def look(habits: Habits, shared: Shared, event: Event, now: int) -> list[float]:
    """The numbers called `FEATURES`, of an event that is not learnt yet."""
    context, who = event.context, event.person or event.credential
    client, network = client_of(event), context.network
    release = f"{context.client} {context.version}"
    cluster = f"{network}|{client}|{context.workspace}"
    recent = habits.recent
    last_day = [one for one in recent if now - one.time < DAY]
    hour_long = [one for one in last_day if now - one.time < HOUR]
    here = [one for one in hour_long if now - one.time < HOUR // 6]
    elsewhere = next((one for one in reversed(last_day) if one.network != network), None)
    same = next((one for one in reversed(here) if one.conversation == context.conversation), None)
    hour = now // HOUR % 24
    near = habits.hours[hour] + habits.hours[hour - 1] + habits.hours[(hour + 1) % 24]
    today = habits.days[-1] if habits.days and habits.day == now // DAY else 0
    usual = sorted(habits.days[:-1] or [0])[len(habits.days[:-1]) // 2]
    span = max(1.0, min(_AGE, (now - habits.first) / DAY))
    return [
        _age(habits.networks, network, now),
        _count(habits.networks, network),
        _peers(shared.networks, network, who),
        float(context.address == "hosting"),
        float(context.address in ("vpn", "tor")),
        _count(habits.countries, context.country),
        _age(habits.clients, client, now),
        _count(habits.clients, client),
        _count(habits.machines, f"{client} {context.runtime}"),
        _count(habits.versions, release),
        _peers(shared.versions, release, who),
        _age(habits.workspaces, context.workspace, now),
        _count(habits.workspaces, context.workspace),
        _peers(shared.workspaces, context.workspace, who),
        min(20.0, _count(habits.clusters, cluster)),
        min(240.0, (now - elsewhere.time) / 60_000) if elsewhere else 240.0,
        min(10.0, _switches(last_day)),
        min(6.0, len({one.network for one in last_day} | {network})),
        min(6.0, _new(habits.networks, now)),
        min(6.0, _new(habits.clients, now)),
        min(8.0, _new(habits.workspaces, now)),
        min(8.0, len({one.workspace for one in last_day if one.new and now - one.time < 6 * HOUR})),
        min(6.0, len({one.conversation for one in here} | {context.conversation})),
        math.log1p(min(3600.0, (now - same.time) / 1000)) if same else 9.0,
        min(10.0, _jumps(here)),
        near / max(20, sum(habits.hours)),
        min(6.0, (today + 1) / max(10, usual)),
        min(_AGE, (now - habits.first) / DAY),
        min(200.0, habits.count),
        min(10.0, len(habits.networks)),
        min(4.0, len(habits.workspaces) / span),
        _age(habits.versions, release, now),
        min(6.0, _new(habits.machines, now)),
        *_of_strange(habits, shared, event, now),
        min(10.0, len({one.conversation for one in hour_long} | {context.conversation})),
        min(8.0, len({one.workspace for one in hour_long} | {context.workspace})),
    ]


def _is_strange(habits: Habits, event: Event, now: int) -> bool:
    """Whether a request's workspace is new to a person whose program is not."""
    context = event.context
    if context.workspace in habits.strange:
        return True
    program = habits.versions.get(f"{context.client} {context.version}")
    settled = program is not None and now - program.first >= DAY
    return settled and context.workspace not in habits.workspaces


def _of_strange(habits: Habits, shared: Shared, event: Event, now: int) -> tuple[float, ...]:
    """What there is of workspaces of the last day that neither the person nor a colleague had."""
    who, workspace = event.person or event.credential, event.context.workspace
    lately = [
        (name, one)
        for name, one in habits.strange.items()
        if now - one.last < DAY and not _peers(shared.workspaces, name, who)
    ]
    new = _is_strange(habits, event, now) and not _peers(shared.workspaces, workspace, who)
    this = float(new and all(name != workspace for name, _ in lately))
    hours = sum(now - one.last < 6 * HOUR for _, one in lately)
    gaps = [one.gap for _, one in lately if one.gap]
    return (
        min(8.0, hours + this),
        min(8.0, len(lately) + this),
        min(40.0, sum(one.count for _, one in lately) + float(new)),
        min(12.0, sum(one.conversations for _, one in lately) + this),
        min(8.0, float(sum(now - one < DAY for one in habits.returns))),
        sum(gaps) / len(gaps) - habits.own.gap if gaps and habits.own.gap else 0.0,
        min(240.0, (now - habits.own.last) / 60_000),
    )


def _learn_strange(habits: Habits, event: Event, now: int) -> None:
    workspace, conversation = event.context.workspace, event.context.conversation
    for name in [name for name, one in habits.strange.items() if now - one.first > 2 * DAY]:
        del habits.strange[name]
    one = habits.own
    if _is_strange(habits, event, now):
        last = next(reversed(habits.strange), workspace)
        if last != workspace and workspace in habits.strange:
            habits.returns = [*habits.returns[-7:], now]
        one = entry(habits.strange, workspace, _STRANGE, lambda: Strange(now, now))
    if one.conversation == conversation and now - one.last < HOUR // 2:
        gap = math.log1p((now - one.last) / 1000)
        one.gap = gap if not one.gap else 0.9 * one.gap + 0.1 * gap
    elif one.conversation != conversation:
        one.conversations = min(one.conversations + 1, _COUNT)
    one.last, one.conversation, one.count = now, conversation, min(one.count + 1, _COUNT)


def learn(habits: Habits, shared: Shared, event: Event, now: int) -> None:
    """From now on an event is usual."""
    context, who = event.context, event.person or event.credential
    client, network = client_of(event), context.network
    release = f"{context.client} {context.version}"
    _learn_strange(habits, event, now)
    habits.first = habits.first or now
    habits.count = min(habits.count + 1, 1_000)
    _see(habits.networks, network, now, _NETWORKS)
    _see(habits.countries, context.country, now, _NETWORKS)
    _see(habits.clients, client, now, _CLIENTS)
    _see(habits.machines, f"{client} {context.runtime}", now, _CLIENTS)
    _see(habits.versions, release, now, _CLIENTS)
    workspace = _see(habits.workspaces, context.workspace, now, _WORKSPACES)
    _see(habits.clusters, f"{network}|{client}|{context.workspace}", now, _CLUSTERS)
    _tell(shared.networks, network, who)
    _tell(shared.workspaces, context.workspace, who)
    _tell(shared.versions, release, who)
    habits.hours[now // HOUR % 24] += 1
    if sum(habits.hours) > 2_000:
        habits.hours = [count // 2 for count in habits.hours]
    new = now - workspace.first < DAY
    habits.recent.append(Recent(now, network, context.workspace, context.conversation, new))
    del habits.recent[:-_RECENT]
    if habits.day != now // DAY:
        habits.day = now // DAY
        habits.days = [*habits.days[-10:], 0]
    habits.days[-1] += 1


def _see(table: dict[str, Seen], name: str, now: int, most: int) -> Seen:
    seen = entry(table, name, most, lambda: Seen(now))
    seen.count = min(_COUNT, seen.count + 1)
    return seen


def _tell(table: dict[str, list[str]], name: str, who: str) -> None:
    peers = entry(table, name, _SHARED, list[str])
    if who not in peers:
        peers.append(who)
        del peers[:-_PEERS]


def _age(table: dict[str, Seen], name: str, now: int) -> float:
    """In days; -1 where it was never seen."""
    seen = table.get(name)
    return -1.0 if seen is None else min(_AGE, (now - seen.first) / DAY)


def _count(table: dict[str, Seen], name: str) -> float:
    seen = table.get(name)
    return 0.0 if seen is None else float(seen.count)


def _peers(table: dict[str, list[str]], name: str, who: str) -> float:
    return float(sum(one != who for one in table.get(name, ())))


def _new(table: dict[str, Seen], now: int) -> float:
    return float(sum(now - seen.first < DAY for seen in table.values()))


def _switches(recent: list[Recent]) -> float:
    return float(sum(one.network != other.network for one, other in pairwise(recent)))


def _jumps(recent: list[Recent]) -> float:
    """From one conversation to another, and back to one that was left, within minutes."""
    jumps, left = 0, set[str]()
    for one, other in pairwise(recent):
        if one.conversation != other.conversation:
            left.add(one.conversation)
            jumps += other.conversation in left
    return float(jumps)
