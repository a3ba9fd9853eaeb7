"""Recipients of a drill: registered, enrolled and at work like any others, and ended afterwards."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from bailment.access.drilled import LONGEST
from bailment.agent.admin import Admin, make_admin_key
from bailment.agent.client import enrol, wait_until_active
from bailment.agent.profile import Device
from bailment.agent.sdk import BailmentAuth
from bailment.clock import now_ms
from bailment.drills.breach.attackers import CHAT, body_of, client, outcome
from bailment.drills.breach.order import Stranger, Tried
from bailment.store.folder import Folder

#: Asks the running issuer to act: `act(name, **members)`.
Act = Callable[..., Mapping[str, Any]]
PURPOSE = "vulnerability-research"
_FIRST = ("amber", "birch", "cedar", "delta", "ember", "frost", "grove", "heron", "inlet", "larch")
_LAST = ("analytics", "defence", "instruments", "labs", "networks", "systems")
_PEOPLE = ("Ada Holm", "Ben Okoro", "Chiara Neri", "Dana Levi", "Emil Sand", "Fay Moreau")
#: What a drill that was broken off leaves behind, in the issuer's folder.
NOTE = "drill.json"


@dataclass(slots=True)
class Ground:
    """Where a drill is held: an issuer's folder, how to ask it, its URL, and the model that is
    asked. `edge` is the address of a trusted proxy on this machine, if there is one."""

    folder: Folder
    act: Act
    gateway: str
    model: str
    root: Path
    edge: str = ""
    links: dict[str, str] = field(default_factory=dict)

    def note(self) -> None:
        """Keep what is to be ended where a drill that follows finds it; no record says it."""
        path = self.folder.root / NOTE
        path.touch(mode=0o600)
        path.write_text(json.dumps(self.links))

    def end(self) -> None:
        """End the links of all canaries, those of a drill that was broken off too."""
        path = self.folder.root / NOTE
        if path.exists():
            self.links = json.loads(path.read_text()) | self.links
        for recipient, link in list(self.links.items()):
            if link:
                self.act("link-end", link=link, reason="no longer needed")
                self.links[recipient] = ""
                self.note()
        path.unlink(missing_ok=True)


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
    ground.links[done["recipient"]] = done["link"]
    ground.note()
    return Canary(handle, done["recipient"], asyncio.run(_enrol(ground.gateway, folder)))


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
        self._over, self._asked = threading.Event(), threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[Holder]:
        """From the first answer on, beside whatever happens."""
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            self._asked.wait()
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
                self._asked.set()
                if self._over.wait(self._pace):
                    return
