"""The live form: canary recipients on the running system, its public port, the wall clock.

Neither what decides nor what looks for misuse can tell it from a breach: the recipients are
registered, their devices enrolled, and the requests made in the ways of everybody.
"""

from __future__ import annotations

import ipaddress
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bailment.agent.profile import KEY, PROFILE, is_loopback
from bailment.agent.ratchet import HANDLE
from bailment.clock import now_ms
from bailment.drills.breach.begun import (
    BROKEN_OFF,
    ROOT,
    Act,
    Begun,
    alone,
    broken_off,
    finish,
    keep,
    nothing,
)
from bailment.drills.breach.canaries import PURPOSE, Canary, Ground, Holder, register
from bailment.drills.breach.group import Group, agent
from bailment.drills.breach.order import Order, Stranger
from bailment.drills.breach.result import Background, Outcome, Result, is_refusal, outcome_of
from bailment.drills.breach.variants import Variant, holder, strangers
from bailment.drills.breach.watch import Watch
from bailment.errors import BailmentError
from bailment.settings import Settings
from bailment.store.folder import Folder

#: What is at work beside the breach, and means no harm.
_INNOCENT = 2
#: The loot of groups that go on for long: those that share one key are one line of tokens until its
#: owner comes back, and relays are let in.
_SLOW = ("shared-key", "relay")
#: By these a person, or whoever minds the machine, breaks a drill off.
_ENDING = (signal.SIGINT, signal.SIGTERM)
_WEEK = 604_800.0
#: How long after a group's last request a finding may still come, and what a finding says that it
#: leads to, seconds.
_GRACE, _EFFECT = 3.0, 30.0
#: How long a group may take beyond its time before it is taken for hung, seconds.
_HUNG = 120.0

Say = Callable[[str], None]


def end(folder: Folder, act: Act, say: Say) -> bool:
    """Finish the drill that was broken off without having been able to; False if there is none."""
    begun = broken_off(folder)
    if begun is not None:
        _finished(folder, act, say, begun, nothing(begun))
        say(f"the drill {begun.drill[:8]} was broken off: the links of its recipients are ended")
    return begun is not None


def _finished(folder: Folder, act: Act, say: Say, begun: Begun, result: Result) -> Result:
    done = finish(folder, act, begun, result)
    for recipient in done.ordinary:
        say(f"{recipient}: was granted more than a drill grants, and stays in every count")
    return done.result


@dataclass(slots=True)
class Live:
    """One drill. `seconds` is how long a group goes on at the most, `pace` how often each of them
    asks (s)."""

    folder: Folder
    settings: Settings
    act: Act
    say: Say
    model: str
    seconds: float
    pace: float
    _ground: Ground = field(init=False)
    _watch: Watch = field(init=False)
    _innocent: list[tuple[Canary, Holder]] = field(default_factory=list)
    _outcomes: dict[int, Outcome] = field(default_factory=dict)
    _groups: list[Group] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self, variants: Sequence[Variant]) -> Result:
        """Hold the drill, end its recipients' links, and put its result on record, also where it is
        broken off."""
        with alone(self.folder), tempfile.TemporaryDirectory(prefix=ROOT) as root:
            end(self.folder, self.act, self.say)
            begun = Begun(secrets.token_hex(16), now_ms(), root=root)
            keep(self.folder, begun)
            self._ground = Ground(
                self.folder,
                self.act,
                self.settings.issuer.url,
                self.model,
                Path(root),
                begun,
                self._edge(),
            )
            since = time.monotonic()
            notes: tuple[str, ...] = (BROKEN_OFF,)
            try:
                self._watch = Watch(self.folder)
                with self._heeding():
                    self._play(variants)
                notes = ()
            finally:
                if notes:
                    self.say("broken off: the links of its recipients are being ended")
                result = self._result(begun, (time.monotonic() - since) / _WEEK, notes)
                result = _finished(self.folder, self.act, self.say, begun, result)
        return result

    def _result(self, begun: Begun, weeks: float, notes: tuple[str, ...]) -> Result:
        """What came of it up to now."""
        outcomes = [self._outcomes[n] for n in sorted(self._outcomes)]
        ids = {name for one, _ in self._innocent for name in one.ids}
        found = [one.kind for _, one in self._watch.findings(ids)] if ids else []
        tried = [one for _, holder in self._innocent for one in holder.tried]
        refused = sum(map(is_refusal, tried))
        return msgspec.structs.replace(
            nothing(begun),
            geography=self._geography(),
            background=Background(
                len(self._innocent),
                len(tried),
                refused,
                {kind: found.count(kind) for kind in found},
                weeks,
                sum(one.status != 200 for one in tried) - refused,
            ),
            variants=tuple(outcomes),
            notes=(*notes, *_notes(outcomes)),
        )

    def _play(self, variants: Sequence[Variant]) -> None:
        with ExitStack() as stack:
            for n in range(_INNOCENT):
                innocent = register(self._ground)
                holder = self._holder(innocent, 200 + n)
                self._innocent.append((innocent, stack.enter_context(holder.at_work())))
            # Groups that give up as soon as they are refused one by one, and beside each other
            # those that go on for as long as they may.
            slow = [(n, one) for n, one in enumerate(variants) if one.loot in _SLOW]
            for n, one in enumerate(variants):
                if one.loot not in _SLOW:
                    self._variant(n, one)
            with ThreadPoolExecutor(max(1, len(slow))) as pool, self._ending():
                for played in [pool.submit(self._variant, *pair) for pair in slow]:
                    played.result()

    @contextmanager
    def _heeding(self) -> Iterator[None]:
        """While Ctrl-C and SIGTERM break it off, whatever Python is at. What a handler raises is
        lost if an import or the garbage collector calls back just then, so it is also kept."""
        asked = threading.Event()

        def heed(*_: object) -> None:
            asked.set()
            self._end_groups()
            raise KeyboardInterrupt

        before = {number: signal.signal(number, heed) for number in _ENDING}
        try:
            yield
        except BailmentError:  # of a group that was ended
            if not asked.is_set():
                raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if asked.is_set():
            raise KeyboardInterrupt

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """What breaks off ends the groups that are at it."""
        try:
            yield
        except BaseException:
            self._end_groups()
            raise

    def _end_groups(self) -> None:
        """Those that are at it, and those that would begin."""
        self._over.set()
        for group in list(self._groups):
            group.stop()

    def _variant(self, number: int, variant: Variant) -> None:
        self.say(f"{variant.name}: {variant.title}")
        canary = register(self._ground)
        own = self._ground.root / f"strangers-{number}"
        own.mkdir(mode=0o700)
        with ExitStack() as stack:
            at_work = stack.enter_context(self._holder(canary, number).at_work())
            order = self._order(stack, number, variant, canary, at_work, own)
            group = Group(order)
            self._groups.append(group)
            if self._over.is_set():
                group.stop()
            if variant.loot == "shared-key":
                # Its owner has finished for now, and comes back when half of the time is over.
                timer = threading.Timer(self.seconds / 2, at_work.come_back)
                timer.start()
                stack.callback(timer.cancel)
            group.wait(self.seconds + _HUNG)
            findings, contained = self._settled(canary)
        protection = group.protected.how if group.protected else "none"
        done = self._outcomes[number] = outcome_of(
            variant.name,
            variant.title,
            variant.people,
            variant.expected,
            variant.unseen,
            canary.recipient,
            group.tried,
            findings,
            contained,
            protection,
        )
        self.say(f"{variant.name}: {done.outcome} after {len(group.tried)} requests")

    def _settled(self, canary: Canary) -> tuple[list, list]:  # type: ignore[type-arg]
        """The findings about a recipient and what was cut, once what they lead to is on record or
        none come."""
        since = time.monotonic()
        while True:
            # In this order: what a finding leads to comes after it.
            found = list(self._watch.findings(canary.ids))
            cut = list(self._watch.contained(canary.ids))
            waiting = not cut and any(one.response == "hold" for _, one in found)
            patience = _EFFECT if waiting else 0.0 if found else _GRACE
            if time.monotonic() - since >= patience:
                return found, cut
            time.sleep(0.2)

    def _holder(self, canary: Canary, number: int) -> Holder:
        who = self._placed(holder(number, edge=self._ground.edge))
        return Holder(canary, who, self.model, self.pace * 2)

    def _placed(self, who: Stranger) -> Stranger:
        """Where the gateway is asked from outside this machine there is one place only."""
        return who if self._local else msgspec.structs.replace(who, address="")

    @property
    def _local(self) -> bool:
        return is_loopback(urlsplit(self.settings.issuer.url).hostname or "")

    def _order(
        self,
        stack: ExitStack,
        number: int,
        variant: Variant,
        canary: Canary,
        at_work: Holder,
        own: Path,
    ) -> Order:
        """What came into their hands."""
        files: dict[str, str] = {}
        text = ""
        if variant.loot == "token":
            text = at_work.token
        elif variant.loot in ("capability", "relay"):
            base, text = stack.enter_context(agent(canary))
            files["agent"] = base
        else:
            folder = canary.device.folder
            files = {name: (folder / name).read_text() for name in (KEY, PROFILE, HANDLE)}
        return Order(
            loot=variant.loot,
            gateway=self._ground.gateway,
            folder=str(self.folder.root.absolute()),
            own=str(own),
            model=self.model,
            purpose=PURPOSE,
            strangers=tuple(map(self._placed, strangers(variant, number, edge=self._ground.edge))),
            seconds=self.seconds,
            pace=self.pace,
            text=text,
            files=files,
        )

    def _edge(self) -> str:
        """An address of this machine that the issuer takes for a proxy's."""
        for block in self.settings.listen.proxies if self._local else ():
            network = ipaddress.ip_network(block)
            if network.is_loopback and network.version == 4:
                return str(network[1] if network.num_addresses > 1 else network[0])
        return ""

    def _geography(self) -> str:
        if not self._local:
            return "everybody comes from this machine, as one network"
        if self._ground.edge:
            return "simulated: an edge that the issuer trusts says which networks they come from"
        return "simulated: other addresses of this machine stand for other networks"


def _notes(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    how = {one.protection for one in outcomes}
    said = {
        "landlock": "attackers were processes that the kernel (Landlock, seccomp) kept from the "
        "issuer's folder and socket; each tried",
        "user": "attackers were processes of the user nobody, who cannot read the issuer's folder; "
        "each tried",
    }
    return tuple(said[one] for one in sorted(how) if one in said)
