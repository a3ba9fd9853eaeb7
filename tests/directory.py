"""A recipient's directory: it speaks SCIM as Entra and Okta do, with plain requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

from .world import Recipient

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@dataclass
class Directory:
    """A source of signals, with the credential that its admin was shown."""

    of: Recipient
    source: str
    credential: str

    async def call(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx2.Response:
        """Send a request."""
        world = self.of.world
        given = {
            "authorization": f"Bearer {self.credential}",
            "content-type": "application/scim+json",
        } | headers
        return await world.http.request(
            method, f"{world.url}/scim/v2{path}", json=body, headers=given
        )

    async def add(self, user: str, **members: Any) -> str:
        """Provision an account; its id."""
        told = {"schemas": [USER], "userName": user, "active": True, **members}
        sent = await self.call("POST", "/Users", told)
        assert sent.status_code == 201, sent.text
        return str(sent.json()["id"])

    async def patch(self, user: str, *operations: dict[str, Any]) -> None:
        """Change an account."""
        body = {"schemas": [PATCH], "Operations": list(operations)}
        sent = await self.call("PATCH", f"/Users/{user}", body)
        assert sent.status_code in (200, 204), sent.text

    async def set_active(self, user: str, active: bool) -> None:
        await self.patch(user, {"op": "replace", "value": {"active": active}})


async def directory(recipient: Recipient) -> Directory:
    """A new SCIM source of a recipient's."""
    sent = await recipient.admin.post("/signals/sources", {"kind": "scim"})
    assert sent.status_code == 201, sent.text
    told = sent.json()
    assert told["url"] == f"{recipient.world.url}/scim/v2"
    return Directory(recipient, told["source"], told["credential"])
