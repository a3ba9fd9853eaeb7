"""A profile: the folder in which a device keeps its key, and what it knows of its access.

device.pem     the device's private key, which never leaves this folder; or, if it is in a TPM,
device.tpm     what that TPM needs to use it, which is worth nothing elsewhere: see `tpm_key`
profile.json   the gateway, the ids, and what the chain allowed when it was last asked
ratchet        the handle that came with the last token: see `ratchet`
agent.json     what the agent's variables say, if one has run: see `local`
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import jwk, target
from bailment.agent import private, tpm_key
from bailment.errors import ConfigurationError, FormatError
from bailment.ledger.records import KeyClass

KEY, PROFILE = "device.pem", "profile.json"

Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`profile.json`. `gateway` is the issuer's URL, without a path; `models` may be empty."""

    gateway: str
    device: Id
    person: Id
    key_class: KeyClass
    status: Literal["pending", "active"]
    purposes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Device:
    """A loaded profile with its key."""

    folder: Path
    profile: Profile
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def public(self) -> jwk.PublicKey:
        """The public part of the device's key."""
        return jwk.from_key(self.key.public_key())


def default_folder(name: str = "default") -> Path:
    """`$XDG_CONFIG_HOME/bailment/<name>`, or the same under `~/.config`."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", name):
        raise ConfigurationError(f"`{name[:64]}` cannot name a profile")
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():  # the XDG specification has relative paths ignored
        base = Path.home() / ".config"
    return base / "bailment" / name


def load(folder: Path) -> Device:
    """The device in a folder; ConfigurationError says what is wrong and how to mend it."""
    path = folder / PROFILE
    if not path.exists():
        raise ConfigurationError(
            f"`{folder}` holds no profile", hint="`bailment enrol` makes one, from an invitation"
        )
    private.check_folder(folder)
    try:
        profile = msgspec.convert(canonical.parse_unique(private.read(path)), Profile)
    except (FormatError, msgspec.ValidationError) as error:
        message = str(error)
        raise ConfigurationError(
            f"`{path}` is damaged: {message[:1].lower()}{message[1:]}",
            hint="mend it, or remove the folder and enrol again",
        ) from None
    software = profile.key_class == "software"
    return Device(
        folder,
        msgspec.structs.replace(profile, gateway=gateway_url(profile.gateway)),
        private.load_key(folder / KEY) if software else tpm_key.load_key(folder / tpm_key.KEY),
    )


def is_pending(folder: Path) -> bool:
    """Whether the folder holds the profile of a device that was not confirmed when last asked."""
    return (folder / PROFILE).exists() and load(folder).profile.status == "pending"


def forget(folder: Path) -> None:
    """Remove the profile of an enrolment that came to nothing; its key serves the next one."""
    (folder / PROFILE).unlink()


def save(device: Device) -> None:
    """Write `profile.json`."""
    text = msgspec.json.format(canonical.encode(device.profile), indent=2)
    private.write(device.folder / PROFILE, text + b"\n")


def device_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """The key file of a folder that has no profile yet: a new one, or what an enrolment left."""
    check_free(folder)
    path = folder / KEY
    return private.load_key(path) if path.exists() else private.make_key(path)


def check_free(folder: Path) -> None:
    """Make a folder for a new profile; ConfigurationError if it holds one."""
    private.make_folder(folder)
    if (folder / PROFILE).exists():
        raise ConfigurationError(
            f"`{folder}` holds a profile already", hint="enrol under another name: --profile NAME"
        )


def gateway_url(url: str) -> str:
    """A gateway's URL in its one spelling; ConfigurationError unless it is https, or loopback."""
    try:
        plain = target.normalise(url)
    except FormatError as error:
        raise ConfigurationError(f"`{url[:200]}` is not a gateway's URL: {error}") from None
    parts = urlsplit(plain)
    if parts.path != "/" or set("?#") & set(url):
        raise ConfigurationError(f"`{url[:200]}`: a gateway's URL is https://host[:port]")
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            f"`{url[:200]}` would carry everything in the clear", hint="use its https URL"
        )
    return plain.removesuffix("/")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
