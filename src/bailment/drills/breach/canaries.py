"""Recipients of a drill: registered, enrolled and at work like any others, and ended afterwards."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from bailment.access.drilled import LONGEST
from bailment.agent.admin import Admin, make_admin_key
from bailment.agent.client import enrol, wait_until_active
from bailment.agent.profile import Device
from bailment.agent.sdk import BailmentAuth
from bailment.clock import now_ms
from bailment.drills.breach.attackers import CHAT, body_of, client, outcome
from bailment.drills.breach.begun import Act, Begun, keep
from bailment.drills.breach.order import Stranger, Tried
from bailment.errors import BailmentError
from bailment.store.folder import Folder

PURPOSE = "vulnerability-research"
_FIRST = ("amber", "birch", "cedar", "delta", "ember", "frost", "grove", "heron", "inlet", "larch")
_LAST = ("analytics", "defence", "instruments", "labs", "networks", "systems")
_PEOPLE = ("Ada Holm", "Ben Okoro", "Chiara Neri", "Dana Levi", "Emil Sand", "Fay Moreau")
#: How long a holder waits for the first answer, seconds: longer than one request may take.
_PATIENCE = 90.0


@dataclass(slots=True)
class Ground:
    """Where a drill is held: an issuer's folder, how to ask it, its URL, and the model that is
    asked. `edge` is the address of a trusted proxy on this machine, if there is one."""

    folder: Folder
    act: Act
    gateway: str
    model: str
    root: Path
    begun: Begun
    edge: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def registering(self, handle: str) -> None:
        """Keep who is about to be registered where whoever ends their links finds it."""
        with self._lock:
            self.begun.coming.append(handle)
            keep(self.folder, self.begun)

    def registered(self, handle: str, recipient: str) -> None:
        """Keep under which id they were."""
        with self._lock:
            self.begun.recipients.append(recipient)
            self.begun.coming.remove(handle)
            keep(self.folder, self.begun)


@dataclass(frozen=True, slots=True)
class Canary:
    """One recipient with one person and one device."""

    handle: str
    recipient: str
    device: Device

    @property
    def person(self) -> str:
        return self.device.profile.person

    @property
    def ids(self) -> frozenset[str]:
        return frozenset((self.recipient, self.person, self.device.profile.device))


def register(ground: Ground) -> Canary:
    """A new recipient with an enrolled device, by the ways that everybody takes."""
    handle = f"{secrets.choice(_FIRST)}-{secrets.choice(_LAST)}-{secrets.token_hex(2)}"
    folder = ground.root / handle
    folder.mkdir(mode=0o700)
    key = make_admin_key(folder / "admin")
    ground.registering(handle)
    done = ground.act(
        "recipient-add",
        handle=handle,
        contact=f"security@{handle}.example",
        key=key.jwk,
        models=[ground.model],
        purposes=[PURPOSE],
        until=now_ms() + LONGEST,
        networks=[],
        budget=None,
        depth=0,
    )
    ground.registered(handle, done["recipient"])
    # In a thread of its own: what a signal's handler raises would tear an event loop in two.
    with ThreadPoolExecutor(1) as beside:
        device = beside.submit(asyncio.run, _enrol(ground.gateway, folder)).result()
    return Canary(handle, done["recipient"], device)


async def _enrol(gateway: str, folder: Path) -> Device:
    name = secrets.choice(_PEOPLE)
    email = f"{name.split()[0].lower()}@{folder.name}.example"
    async with Admin(folder / "admin", gateway) as admin:
        invited = await admin.sign_person_link(name, email)
        if invited.invitation is None:
            raise AssertionError("a person's link comes with an invitation")
        pending = await enrol(invited.invitation.url, folder / "device", "laptop")
        await admin.confirm_device(pending.code, by="the admin")
    return await wait_until_active(folder / "device")


class Holder:
    """Whose access it is, at work: asks every `pace` seconds from one place with one program."""

    def __init__(self, canary: Canary, who: Stranger, model: str, pace: float) -> None:
        self.tried: list[Tried] = []
        self.auth = BailmentAuth(canary.device, PURPOSE)
        self._who, self._model, self._pace = who, model, pace
        self._over, self._answered = threading.Event(), threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[Holder]:
        """From the first answer on, beside whatever happens."""
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            if not self._answered.wait(_PATIENCE):
                raise BailmentError(
                    f"a recipient of the drill had no answer within {_PATIENCE:.0f} s",
                    hint="see whether the issuer and its model answer: bailment status",
                )
            yield self
        finally:
            self._over.set()
            thread.join()

    @property
    def token(self) -> str:
        return self.auth.tokens.current()

    def come_back(self) -> None:
        """Begin a new session, which asks for a token of its own."""
        self.auth.tokens.forget(self.token)

    def _work(self) -> None:
        gateway = self.auth.gateway
        with client(self._who, gateway) as http:
            for body in cycle(body_of(self._who, self._model)):
                sent = now_ms()
                found = outcome(
                    lambda body=body: http.post(gateway + CHAT, json=body, auth=self.auth)  # type: ignore[misc]
                )
                self.tried.append(Tried(self._who.name, sent, now_ms(), *found))
                if found[0] == 200:
                    self._answered.set()
                if self._over.wait(self._pace):
                    return
