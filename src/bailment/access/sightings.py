"""What the log's records tell of each recipient, kept so that any window of them can be counted.

`Sightings` follows the log record by record. Of each request and each token it keeps where and when
it was, on a track for everything that is true of it; of what changes the register, since which
entry it holds. So it answers for any entry of the log as it was there, and an auditor who follows
the same log later counts the same.

A request takes some 32 bytes until `forget`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple, TypeVar

from bailment.access.assured import standing_of
from bailment.access.chain import GRANTORS, Link, read_link
from bailment.access.state import Indexed, read_spec
from bailment.access.tracks import (
    BOUND,
    OFF_NETWORK,
    UNBOUND,
    UNDECLARED_PURPOSE,
    UNDELEGATED,
    UNENROLLED,
    Kept,
    Track,
    track_of,
)
from bailment.assurance.standing import Standing
from bailment.errors import FormatError
from bailment.ledger.evidence_records import (
    EnclaveDeclared,
    EvidenceReceived,
    ExceptionGranted,
    ModelTiered,
    StandingEvaluated,
)
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import (
    AccessOpened,
    DelegationEnded,
    DelegationGranted,
    Policy,
    SpecApplied,
    TokenIssued,
)
from bailment.spec.compiled import CompiledSpec, compile_spec, rank_of
from bailment.spec.policy import MAX_TOKEN_MS

#: Whoever follows from here on before a window knows the tokens of all requests in it, ms.
LEAD = 2 * MAX_TOKEN_MS

#: Standings that are kept of each organisation, for whoever asks of an entry a while ago.
_HISTORY = 63

T = TypeVar("T")
News = Iterable[tuple[int, Leaf, Facts]]


class _Token(NamedTuple):
    """What a token makes true of each request by it, and where and when its chain holds."""

    person: str
    strangers: tuple[str, ...]
    marks: tuple[str, ...]
    links: tuple[str, ...]
    networks: tuple[tuple[str, ...], ...]
    start: int
    until: int
    #: The organisations on the chain; the last one employs the person.
    organisations: tuple[str, ...]
    #: How the person had signed in, `job` of a workload; empty where nobody knows.
    signed_in: str = ""


class InForce(NamedTuple):
    """What decided at an entry of the log: spec, policy."""

    spec: CompiledSpec | None
    policy: Policy


class Sightings:
    """Follows the log, beside a register that has folded the same records, or more of them."""

    def __init__(self, register: Indexed) -> None:
        self.register = register
        self._kept: dict[str, Kept] = {}
        self._tokens: dict[str, _Token] = {}
        self._ending: deque[tuple[int, str]] = deque()  # when each token is forgotten
        self._entered: dict[str, int] = {}  # since which entry: ended links, grants
        self._specs: list[tuple[int, InForce]] = []
        self._standings: dict[str, list[tuple[int, Standing | None]]] = {}
        self._tiers: dict[str, list[tuple[int, int]]] = {}
        self._enclaves: dict[str, list[tuple[int, frozenset[str]]]] = {}
        self._doubtful: dict[str, list[tuple[str, int, int]]] = {}
        self._known: set[str] = set()
        self._changed: set[str] = set()
        for link in register.links.values():
            self._index(link)
        for recipient, proven in register.state.proven.items():
            for item in proven.items:
                self._collect(recipient, -1, item.kind, item.scope, item.dated)

    def of(self, recipient: str) -> Kept:
        """What is kept of a recipient."""
        return self._kept.get(recipient) or Kept()

    def changed(self) -> set[str]:
        """Of whom there has been something new, not just more of the same, since it was asked."""
        changed, self._changed = self._changed, set()
        return changed

    def forget(self, before: int) -> None:
        """Drop what is older than any window that will be asked for."""
        for kept in self._kept.values():
            kept.forget(before)

    def _keep(self, recipient: str) -> Kept:
        kept = self._kept.get(recipient)
        if kept is None:
            kept = self._kept[recipient] = Kept()
        return kept

    # As it was at an entry

    def there(self, name: str, stop: int) -> bool:
        """Whether an exception, or a link's end, was there before the entry `stop`."""
        return self._entered.get(name, -1) < stop

    def in_force(self, stop: int) -> InForce:
        """Spec and policy before the entry `stop`."""
        now = InForce(self.register.spec, self.register.policy)
        return last(self._specs, stop, now)

    def enclave(self, recipient: str, stop: int) -> frozenset[str]:
        """The ids of a recipient's enclave before the entry `stop`."""
        return last(self._enclaves.get(recipient, []), stop, self._enclave(recipient))

    def standing(self, organisation: str, stop: int) -> Standing | None:
        """The standing of an organisation as last evaluated before the entry `stop`."""
        now = self.register.proven(organisation).standing
        return last(self._standings.get(organisation, []), stop, now)

    def tier(self, model: str, stop: int) -> int:
        """The rank of a model's tier before the entry `stop`; 0 if it had none."""
        return last(self._tiers.get(model, []), stop, self.register.state.tiers.get(model, 0))

    def links(self, recipient: str, stop: int, at: int) -> list[Link]:
        """A recipient's links that are in force at the time `at`, by what is before `stop`."""
        return [
            link
            for link in self.of(recipient).links
            if all(self._stands(one, stop, at) for one in self.register.path(link.id))
        ]

    def _stands(self, link: Link, stop: int, at: int) -> bool:
        granted = self.register.state.links[link.id]
        ended = granted.ended and self.there(link.id, stop)
        return granted.index < stop and not ended and link.start <= at < link.until

    # Following

    def follow(self, news: News) -> None:
        """Take the next records, in log order; the register has folded them."""
        for index, leaf, facts in news:
            self._take(index, leaf, facts)
        for requests in self._doubtful.values():  # nothing since says otherwise
            for recipient, index, time in requests:
                self._kept[recipient].marks[UNDELEGATED].add(index, time)
        self._doubtful.clear()

    def _take(self, index: int, leaf: Leaf, facts: Facts) -> None:
        match facts:
            case AccessOpened():
                self._opened(index, leaf, facts)
            case TokenIssued():
                self._issued(index, leaf, facts)
            case DelegationGranted():
                self._granted(index, facts)
                self._changed.add(leaf.recipient)
            case DelegationEnded():
                self._entered.setdefault(facts.link, index)
                self._doubtful.pop(facts.link, None)  # they were made before it ended
                self._changed.add(leaf.recipient)
            case EvidenceReceived():
                self._received(index, facts)
            case ExceptionGranted():
                self._entered.setdefault(str(facts.grant.get("id")), index)
                self._changed.add(facts.recipient)
            case EnclaveDeclared():
                history = self._enclaves.setdefault(facts.recipient, [])
                scopes = (one for scopes in facts.scopes.values() for one in scopes)
                history.append((index, frozenset(scopes)))
            case StandingEvaluated():
                before = self._standings.setdefault(facts.recipient, [])
                before[:] = [*before[-_HISTORY:], (index, standing_of(facts.standing))]
            case ModelTiered():
                self._tiers.setdefault(facts.model, []).append((index, rank_of(facts.tier)))
            case SpecApplied():
                told = facts.document or {}  # the register may be ahead and have another
                spec = compile_spec(read_spec(told)) if told else None
                self._specs.append((index, InForce(spec, facts.policy)))

    def _issued(self, index: int, leaf: Leaf, facts: TokenIssued) -> None:
        token = self._tokens[facts.token] = self._read(index, leaf.recipient, facts)
        while self._ending and self._ending[0][0] < leaf.time:
            self._tokens.pop(self._ending.popleft()[1], None)
        self._ending.append((leaf.time + LEAD, facts.token))
        for name in token.organisations:
            kept = self._keep(name)
            tracks = [
                kept.tokens,
                track_of(kept.lives, facts.until - facts.issued),
                *(track_of(kept.strangers, stranger) for stranger in token.strangers),
            ]
            if token.person and name == token.organisations[-1]:
                tracks.append(track_of(kept.people, token.person))
            self._add(index, leaf, name, tracks)

    def _opened(self, index: int, leaf: Leaf, facts: AccessOpened) -> None:
        token = self._tokens.get(facts.token, _UNKNOWN)
        marks = set(token.marks)
        if facts.kind not in BOUND:
            marks.add(UNBOUND)
        if not _on_network(token.networks, facts.networks):
            marks.add(OFF_NETWORK)
        if not token.start <= facts.decided < token.until:
            marks.add(UNDELEGATED)
        if UNDELEGATED not in marks:
            self._check_ended(index, leaf, token, marks)
        names = token.organisations or (leaf.recipient,)
        for name in names:
            kept = self._keep(name)
            tracks = [kept.requests, *(kept.marks[mark] for mark in marks)]
            tracks += _ways(kept, token.signed_in)
            if token.person and name == names[-1]:
                tracks.append(track_of(kept.people, token.person))
            tracks += (track_of(kept.strangers, stranger) for stranger in token.strangers)
            self._add(index, leaf, name, tracks)

    def _add(self, index: int, leaf: Leaf, organisation: str, tracks: list[Track]) -> None:
        for track in tracks:
            if not track.indices:
                self._changed.add(organisation)
            track.add(index, leaf.time)

    def _check_ended(self, index: int, leaf: Leaf, token: _Token, marks: set[str]) -> None:
        """Mark a request by a link that had been ended; where the register is ahead of us, the end
        may still come."""
        granted = self.register.state.links
        for link in token.links:
            if not granted[link].ended:
                continue
            if link in self._entered:
                marks.add(UNDELEGATED)
            else:
                requests = self._doubtful.setdefault(link, [])
                requests += ((name, index, leaf.time) for name in token.organisations)
                return

    def _read(self, index: int, recipient: str, facts: TokenIssued) -> _Token:
        """What a token's record says, held against the register as it was."""
        state, links = self.register.state, self.register.links
        known = {
            name: links[name]
            for name in facts.links
            if name in links and state.links[name].index < index
        }
        strangers = tuple(name for name in facts.links if name not in known)
        chain = tuple(known.values())
        marks = []
        if strangers or not _leads(chain, recipient, facts):
            marks.append(UNDELEGATED)
        if not self._enrolled(chain, facts):
            marks.append(UNENROLLED)
        declared = [link.purposes for link in chain if link.purposes]
        if not declared or any(facts.purpose not in purposes for purposes in declared):
            marks.append(UNDECLARED_PURPOSE)
        return _Token(
            facts.person,
            strangers,
            tuple(marks),
            tuple(known),
            tuple(link.networks for link in chain if link.networks),
            max([link.start for link in chain], default=0),
            min([link.until for link in chain], default=0),
            tuple(link.subject for link in chain if link.kind in GRANTORS) or (recipient,),
            "job" if chain and chain[-1].kind == "workload" else facts.signed_in or "",
        )

    def _enrolled(self, chain: tuple[Link, ...], facts: TokenIssued) -> bool:
        """Whether the chain ends in who asked: a device with this key, or a workload, whose keys
        last a job."""
        if not chain or chain[-1].subject != facts.device:
            return False
        device = self.register.state.devices.get(facts.device)
        if device is None:
            return chain[-1].kind == "workload"
        key = self.register.key(device.key).thumbprint
        return chain[-1].kind == "device" and key == facts.thumbprint

    def _granted(self, index: int, facts: DelegationGranted) -> None:
        try:
            link = read_link(facts.link)
        except FormatError:
            return  # nor does the register have it
        granted = self.register.state.links.get(link.id)
        if granted is not None and granted.index == index:
            self._index(self.register.links[link.id])

    def _received(self, index: int, facts: EvidenceReceived) -> None:
        kind, scope, dated = (facts.item.get(name) for name in ("kind", "scope", "dated"))
        if isinstance(kind, str) and isinstance(scope, str) and isinstance(dated, int):
            self._collect(facts.recipient, index, kind, scope, dated)

    def _collect(self, recipient: str, index: int, kind: str, scope: str, dated: int) -> None:
        history = self._keep(recipient).collected.setdefault((kind, scope), [])
        if not history or history[-1][1] < dated:
            history[:] = [*history[-8:], (index, dated)]

    def _index(self, link: Link) -> None:
        """Note a link of a recipient's, once."""
        if link.id not in self._known:
            self._known.add(link.id)
            for above in self.register.path(link.id):
                if above.kind in GRANTORS:
                    self._keep(above.subject).links.append(link)

    def _enclave(self, recipient: str) -> frozenset[str]:
        scopes = self.register.proven(recipient).scopes
        return frozenset(one for some in scopes.values() for one in some)


#: Of a request by a token without a record nothing can be shown, and so all of it is counted.
_UNKNOWN = _Token("", ("unknown",), (UNDELEGATED, UNENROLLED, UNDECLARED_PURPOSE), (), (), 0, 0, ())


def _leads(chain: tuple[Link, ...], recipient: str, facts: TokenIssued) -> bool:
    """Whether the chain leads from the issuer by the recipient to the person and the device, or to
    the workload for which the person answers."""
    if len(chain) < 2 or (chain[0].parent, chain[0].subject) != ("", recipient):
        return False
    joined = all(below.parent == above.id for above, below in pairwise(chain))
    if chain[-1].kind == "workload":
        return joined and (chain[-1].subject, chain[-1].owner) == (facts.device, facts.person)
    ends = [(link.kind, link.subject) for link in chain[-2:]]
    return joined and ends == [("person", facts.person), ("device", facts.device)]


def _ways(kept: Kept, signed_in: str) -> tuple[Track, ...]:
    """The tracks of how whoever makes a request had signed in."""
    match signed_in:
        case "":
            return ()
        case "job":
            return (kept.jobs,)
        case "resistant":
            return (kept.signed_in, kept.resistant)
    return (kept.signed_in,)


def _on_network(declared: tuple[tuple[str, ...], ...], networks: tuple[str, ...]) -> bool:
    """Whether a request came from where each link of its chain that says so has it come from.

    Where none says it, there is no declared network that it could have come from.
    """
    for blocks in declared:
        if not any(one in blocks for one in networks):
            return False
    return bool(declared)


def last(history: list[tuple[int, T]], stop: int, now: T) -> T:
    """What was last written before the entry `stop`; what holds now where nothing was written."""
    for index, value in reversed(history):
        if index < stop:
            return value
    return now
