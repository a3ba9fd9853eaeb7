"""The live form: canary recipients on the running system, its public port, the wall clock.

Neither what decides nor what looks for misuse can tell it from a breach: the recipients are
registered, their devices enrolled, and the requests made in the ways of everybody.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import msgspec

from bailment import canonical
from bailment.agent.profile import KEY, PROFILE
from bailment.agent.ratchet import HANDLE
from bailment.clock import now_ms
from bailment.drills.breach.canaries import PURPOSE, Act, Canary, Ground, Holder, register
from bailment.drills.breach.order import Line, Order, Protected, Tried
from bailment.drills.breach.result import Background, Outcome, Result, outcome_of
from bailment.drills.breach.variants import Variant, holder, strangers
from bailment.drills.breach.watch import Watch
from bailment.errors import BailmentError
from bailment.settings import Settings
from bailment.store.folder import Folder

NAME = "breach-2026"
_ATTACKERS = (sys.executable, "-P", "-m", "bailment.drills.breach.attackers")
_AGENT = (sys.executable, "-m", "bailment.drills.leashed", "agent")
#: What is at work beside the breach, and means no harm.
_INNOCENT = 2
#: How long after a group's last request a finding may still come, seconds.
_GRACE = 3.0

Say = Callable[[str], None]


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

    def run(self, variants: Sequence[Variant], author: str) -> Result:
        """Hold the drill, end its recipients' links, and put its result on record."""
        started, drill = now_ms(), secrets.token_hex(16)
        with tempfile.TemporaryDirectory(prefix="bailment-drill-") as root:
            self._ground = Ground(
                self.folder,
                self.act,
                self.settings.issuer.url,
                self.model,
                Path(root),
                self._edge(),
            )
            self._ground.end()  # those of a drill that was broken off
            self._watch = Watch(self.folder)
            try:
                background, outcomes = self._play(variants)
            finally:
                recipients = tuple(self._ground.links)
                self._ground.end()
        result = Result(
            drill=drill,
            name=NAME,
            form="live",
            simulated=False,
            started=started,
            ended=now_ms(),
            geography=self._geography(),
            background=background,
            variants=tuple(outcomes),
            notes=_notes(outcomes),
        )
        self.act(
            "drill-note",
            drill=drill,
            drill_name=NAME,
            recipients=recipients,
            started=started,
            ended=result.ended,
            variants=[msgspec.to_builtins(one.record()) for one in outcomes],
            result=canonical.digest(canonical.encode(msgspec.to_builtins(result))),
        )
        return result

    def _play(self, variants: Sequence[Variant]) -> tuple[Background, list[Outcome]]:
        begun = time.monotonic()
        with ExitStack() as stack:
            innocent = [register(self._ground) for _ in range(_INNOCENT)]
            at_work = [
                stack.enter_context(self._holder(one, 200 + n).at_work())
                for n, one in enumerate(innocent)
            ]
            # Groups that are refused or found at once one by one, and beside each other those
            # that go on for as long as they may.
            slow = [(n, one) for n, one in enumerate(variants) if one.loot == "relay"]
            fast = [(n, one) for n, one in enumerate(variants) if one.loot != "relay"]
            outcomes = {n: self._variant(n, one) for n, one in fast}
            with ThreadPoolExecutor(max(1, len(slow))) as pool:
                played = pool.map(lambda pair: self._variant(*pair), slow)
                outcomes |= dict(zip((n for n, _ in slow), played, strict=True))
        ids = {name for one in innocent for name in one.ids}
        found = [one.kind for _, one in self._watch.findings(ids)]
        tried = [one for holder in at_work for one in holder.tried]
        background = Background(
            _INNOCENT,
            len(tried),
            sum(one.status != 200 for one in tried),
            {kind: found.count(kind) for kind in found},
            (time.monotonic() - begun) / 604_800,
        )
        return background, [outcomes[n] for n in sorted(outcomes)]

    def _variant(self, number: int, variant: Variant) -> Outcome:
        self.say(f"{variant.name}: {variant.title}")
        canary = register(self._ground)
        own = self._ground.root / f"strangers-{number}"
        own.mkdir(mode=0o700)
        with ExitStack() as stack:
            at_work = stack.enter_context(self._holder(canary, number).at_work())
            order = self._order(stack, number, variant, canary, at_work, own)
            group = Group(order)
            if variant.loot == "shared-key":
                # Its owner has finished for now, and comes back when half of the time is over.
                timer = threading.Timer(self.seconds / 2, at_work.come_back)
                timer.start()
                stack.callback(timer.cancel)
            group.wait(self.seconds + 30)
            findings, contained = self._settled(canary)
        protection = group.protected.how if group.protected else "none"
        done = outcome_of(
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
        return done

    def _settled(self, canary: Canary) -> tuple[list, list]:  # type: ignore[type-arg]
        """The findings about a recipient and what was cut, once there are some or none come."""
        until = time.monotonic() + _GRACE
        while not (found := list(self._watch.findings(canary.ids))) and time.monotonic() < until:
            time.sleep(0.2)
        return found, list(self._watch.contained(canary.ids))

    def _holder(self, canary: Canary, number: int) -> Holder:
        return Holder(canary, holder(number, edge=self._ground.edge), self.model, self.pace * 2)

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
            agent, text = stack.enter_context(_agent(canary))
            files["agent"] = agent
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
            strangers=strangers(variant, number, edge=self._ground.edge),
            seconds=self.seconds,
            pace=self.pace,
            text=text,
            files=files,
        )

    def _edge(self) -> str:
        """An address of this machine that the issuer takes for a proxy's."""
        for block in self.settings.listen.proxies:
            network = ipaddress.ip_network(block)
            if network.is_loopback and network.version == 4:
                return str(network[1] if network.num_addresses > 1 else network[0])
        return ""

    def _geography(self) -> str:
        if self._ground.edge:
            return "simulated: an edge that the issuer trusts says which networks they come from"
        return "simulated: other addresses of this machine stand for other networks"


class Group:
    """An attackers' process."""

    def __init__(self, order: Order) -> None:
        self.protected: Protected | None = None
        self.tried: list[Tried] = []
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BAILMENT_")}
        self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            _ATTACKERS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        keyhole = cast(IO[bytes], self._process.stdin)
        keyhole.write(msgspec.json.encode(order) + b"\n")
        keyhole.flush()

    def wait(self, seconds: float) -> None:
        """Hear what they tell until they end; BailmentError if they could get at the issuer."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            for line in cast(IO[bytes], self._process.stdout):
                told: Line = msgspec.json.decode(line, type=Line)
                if isinstance(told, Protected):
                    self.protected = told
                else:
                    self.tried.append(told)
        finally:
            timer.cancel()
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                cast(IO[bytes], pipe).close()
        if self.protected is None:
            raise BailmentError("the attackers' process failed; see its standard error above")
        if self.protected.how == "none":
            reached = [name for name, how in self.protected.tried.items() if how == "open"]
            raise BailmentError(
                f"an attackers' process could reach the issuer's {', '.join(reached)}, so that "
                "the drill would prove nothing",
                hint="run it on a kernel with Landlock, or as root",
            )


@contextmanager
def _agent(canary: Canary) -> Iterator[tuple[str, str]]:
    """The holder's own agent: its base URL and its capability."""
    home = canary.device.folder.parent
    (home / "bailment").symlink_to(home)
    process = subprocess.Popen(  # noqa: S603 - our own program, no shell
        [*_AGENT, "--profile", "device", "--purpose", PURPOSE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "XDG_CONFIG_HOME": str(home)},
        start_new_session=True,
    )
    try:
        found: dict[str, str] = {}
        for line in cast(IO[str], process.stdout):
            name, _, value = line.strip().removeprefix("export ").partition("=")
            found[name] = value.strip("'\"")
            if "ANTHROPIC_API_KEY" in found:
                break
        else:
            raise BailmentError("the holder's agent did not start")
        yield found["ANTHROPIC_BASE_URL"], found["ANTHROPIC_API_KEY"]
    finally:
        process.terminate()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            cast(IO[str], pipe).close()


def _notes(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    how = {one.protection for one in outcomes}
    said = {
        "landlock": "attackers were processes that the kernel (Landlock, seccomp) kept from the "
        "issuer's folder and socket; each tried",
        "user": "attackers were processes of the user nobody, who cannot read the issuer's folder; "
        "each tried",
    }
    return tuple(said[one] for one in sorted(how) if one in said)
