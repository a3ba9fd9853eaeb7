"""A device that calls by mTLS: its certificate, its client, and its token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bailment.access.certificate import PATH, certification_body, thumbprint

from ..world import DIALECTS, PURPOSE, Device, World


async def ask_for_certificate(device: Device, **changes: Any) -> httpx2.Response:
    """`POST /enrol/certificates` by the device."""
    headers = {"content-type": "application/json"}
    return await device.send(
        "POST", PATH, certification_body(device.id), headers=headers, **changes
    )


@dataclass
class Certified:
    """A certificate of a device's, a client that shows it, and a token that is bound to it."""

    device: Device
    path: Path
    made: x509.Certificate
    http: httpx2.AsyncClient
    token: str = ""

    @property
    def name(self) -> str:
        return thumbprint(self.made.public_bytes(Encoding.DER))

    @property
    def world(self) -> World:
        return self.device.world

    async def request_token(self, **form: str) -> httpx2.Response:
        detail = {"type": "bailment_access", "purpose": PURPOSE, "models": []}
        given = {
            "grant_type": "client_credentials",
            "client_id": self.device.id,
            "authorization_details": json.dumps([detail]),
            **({"ratchet": self.device.handle} if self.device.handle else {}),
        }
        answered = await self.http.post(
            self.world.url + "/oauth/token",
            content=urlencode({**given, **form}),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        self.device.keep(answered)
        return answered

    async def renew(self) -> Certified:
        fetched = await self.request_token()
        assert fetched.status_code == 200, fetched.text
        self.token = fetched.json()["access_token"]
        return self

    def request(self, dialect: str = "chat", **members: Any) -> tuple[str, bytes, dict[str, str]]:
        path, default = DIALECTS[dialect]
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.token}"}
        if dialect == "messages":
            headers["anthropic-version"] = "2023-06-01"
        return self.world.url + path, json.dumps({**default, **members}).encode(), headers

    async def ask(
        self,
        dialect: str = "chat",
        *,
        by: httpx2.AsyncClient | None = None,
        headers: Mapping[str, str | None] | None = None,
        **members: Any,
    ) -> httpx2.Response:
        """Ask the model, over the connection of another client if one is given."""
        url, body, fields = self.request(dialect, **members)
        merged = {**fields, **(headers or {})}
        kept = {name: value for name, value in merged.items() if value is not None}
        return await (by or self.http).post(url, content=body, headers=kept)


def write_pem(path: Path, made: x509.Certificate, device: Device) -> Path:
    """Certificate and key in one file."""
    key = device.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + key)
    return path


class Desk:
    """Certifies devices, and closes their clients at the end."""

    def __init__(self, world: World, folder: Path, stack: AsyncExitStack) -> None:
        self.world = world
        self._folder = folder
        self._stack = stack
        self._count = 0

    async def show(self, device: Device, made: x509.Certificate) -> Certified:
        """A client that shows this certificate, whoever made it."""
        self._count += 1
        path = write_pem(self._folder / f"{self._count}.pem", made, device)
        http = await self._stack.enter_async_context(self.world.client(path))
        return Certified(device, path, made, http)

    async def certify(self, device: Device | None = None) -> Certified:
        """A device with a certificate, of a new person at a new recipient if none is given."""
        device = device or await self.world.device()
        sent = await ask_for_certificate(device)
        assert sent.status_code == 201, sent.text
        made = x509.load_pem_x509_certificate(sent.json()["certificate"].encode())
        return await self.show(device, made)

    async def ready(self, device: Device | None = None) -> Certified:
        """The same, with a token."""
        return await (await self.certify(device)).renew()


@asynccontextmanager
async def desk(world: World, folder: Path) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        yield Desk(world, folder, stack)
