"""What an attackers' process is told, and what it tells: one JSON object a line, both ways."""

from __future__ import annotations

from typing import Literal

import msgspec

#: What came into other hands: an access token; what an agent shows clients in place of a key; a
#: device's key, which each copies for himself or all use in turn; a holder who passes words on.
Loot = Literal["token", "capability", "key", "shared-key", "relay"]


class Stranger(msgspec.Struct, frozen=True):
    """One of a group. `address` is where its connections come from, on this machine; `forwarded`
    is what an edge would say of it, empty where there is none."""

    name: str
    address: str = ""
    forwarded: str = ""
    headers: dict[str, str] = {}
    system: str = ""
    prompts: tuple[str, ...] = ()


class Order(msgspec.Struct, frozen=True):
    """What to try and with what, for how long (`seconds`) and how often (`pace`, s).

    `files` are those of a profile, by name; `text` is a token or a capability; `folder` is the
    issuer's, which must be out of reach; `own` is a folder of the process's.
    """

    loot: Loot
    gateway: str
    folder: str
    own: str
    model: str
    purpose: str
    strangers: tuple[Stranger, ...]
    seconds: float
    pace: float
    text: str = ""
    files: dict[str, str] = {}


class Protected(msgspec.Struct, frozen=True, tag="protected"):
    """How the process is confined, and what it met on trying to get out."""

    how: Literal["landlock", "user", "none"]
    tried: dict[str, str]


class Tried(msgspec.Struct, frozen=True, tag="tried"):
    """One request: by whom, when it was sent and answered (ms), with what result. `reason` is the
    gateway's, or of what kept it from answering."""

    name: str
    sent: int
    answered: int
    status: int
    reason: str = ""
    tokens: int = 0


Line = Protected | Tried
