"""Settings: `bailment.toml` in the issuer's folder, read once at start, strictly.

An unknown key is an error, for a misspelt bound that is silently ignored is no bound. What
decisions obey is not here but in the policy, which is a record in the log.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from bailment.errors import ConfigurationError

#: A bound of nothing would stop everything, and a span of nothing would spin.
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Issuer(_Section, frozen=True):
    """Who runs this. `origin` names the log and never changes; `url` is what clients call."""

    origin: str
    url: str
    contact: str


class Listen(_Section, frozen=True):
    """Where the gateway listens: an address, TLS unless it is loopback or behind a TLS proxy.

    `certificate` (with its chain) and `key` are PEM files, relative to the issuer's folder.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8443
    certificate: str = ""
    key: str = ""
    #: True where a proxy in front ends TLS and its network can be trusted with what it carries.
    plain_behind_proxy: bool = False
    #: Networks whose X-Forwarded-For is believed, innermost hop last.
    proxies: tuple[str, ...] = ()
    #: Networks that may read /metrics.
    metrics: tuple[str, ...] = ("127.0.0.0/8", "::1/128")


class Limits(_Section, frozen=True):
    """Bounds on what a caller may send or hold."""

    body_bytes: _Count = 8 * 1024 * 1024
    #: Of all bodies that the gateway holds at once.
    buffered_bytes: _Count = 256 * 1024 * 1024
    answer_bytes: _Count = 32 * 1024 * 1024
    header_bytes: _Count = 32 * 1024
    header_count: _Count = 100
    header_seconds: _Seconds = 10.0
    body_seconds: _Seconds = 30.0
    connections: _Count = 4096
    drain_seconds: _Seconds = 20.0
    disk_reserve_bytes: _Count = 64 * 1024 * 1024


class Meter(_Section, frozen=True):
    """The model server's own counters (Prometheus names), which are held against the log."""

    path: str = "/metrics"
    input: tuple[str, ...] = ("llamacpp:prompt_tokens_total", "llamacpp:prompt_tokens_cached_total")
    output: tuple[str, ...] = ("llamacpp:tokens_predicted_total",)
    seconds: _Seconds = 20.0


class Model(_Section, frozen=True):
    """A model's server. `url` is http(s)://host:port or unix:///path; the key is in a file.

    A `canary` knows nothing worth keeping: recipients rehearse with it before they have standing.
    """

    url: str
    context: int
    output: int
    key_file: str = ""
    connect_seconds: _Seconds = 5.0
    first_byte_seconds: _Seconds = 120.0
    idle_seconds: _Seconds = 60.0
    pool: _Count = 64
    meter: Meter | None = None
    canary: bool = False


class Assessor(_Section, frozen=True):
    """Whose signature under evidence counts: `key` is a public key (PEM, P-256 or Ed25519),
    relative to the issuer's folder.

    It vouches for these `kinds` of evidence, for all where there are none. With a `recipient` (its
    handle) it is that recipient's own executive, whose word counts as the recipient's.
    """

    key: str
    kinds: tuple[str, ...] = ()
    recipient: str = ""
    #: A demonstration's: all that it signs is labelled.
    simulated: bool = False


class Outbound(_Section, frozen=True):
    """URLs that others choose are called by https and at public addresses only.

    `hosts` (`host` or `host:port`) may be inside, and be called without TLS: for demonstrations,
    tests, and an identity provider in one's own network.
    """

    hosts: tuple[str, ...] = ()


class OperatorProvider(_Section, frozen=True):
    """The issuer's own identity provider, at which operators may sign in to look (OpenID Connect).

    It knows us as `client`, and by the keys at `/sign-in/jwks.json` where `auth` says so; browsers
    come back to `/console/sign-in/callback`. `acr` values will do, if there are any.
    """

    issuer: str
    client: str
    auth: Literal["none", "private_key_jwt"] = "private_key_jwt"
    acr: tuple[str, ...] = ()


class Tpm(_Section, frozen=True):
    """The makers of TPMs whose word counts for where a device's key lives.

    `roots` are PEM files, relative to the issuer's folder: makers' own root certificates, and any
    that stand between those and their TPMs'.
    """

    roots: tuple[str, ...] = ()


class Worker(_Section, frozen=True):
    """The process beside `serve` in which misuse is looked for that takes seconds to see.

    It may take so much memory; where it wants more, it is started again.
    """

    enabled: bool = True
    memory_bytes: Annotated[int, msgspec.Meta(ge=256 * 1024 * 1024)] = 2 * 1024**3


class Settings(_Section, frozen=True):
    """The whole file."""

    issuer: Issuer
    listen: Listen = Listen()
    limits: Limits = Limits()
    models: dict[str, Model] = {}
    #: Auditors who may read entry bundles over HTTP: name → SHA-256 (hex) of their credential.
    auditors: dict[str, str] = {}
    #: Resource servers that may ask whether a token is good (RFC 7662), likewise.
    resource_servers: dict[str, str] = {}
    assessors: dict[str, Assessor] = {}
    outbound: Outbound = Outbound()
    #: Where operators may sign in, beside their passkeys.
    operators: OperatorProvider | None = None
    tpm: Tpm = Tpm()
    worker: Worker = Worker()


def load_settings(path: Path) -> Settings:
    """The settings in a file; ConfigurationError says which key is wrong and why."""
    try:
        return parse_settings(path.read_bytes(), path)
    except OSError as error:
        raise ConfigurationError(f"cannot read `{path}`: {error.strerror}") from None


def parse_settings(data: bytes, path: Path) -> Settings:
    """The settings in what a file at `path` holds or is to hold; ConfigurationError likewise."""
    try:
        settings = msgspec.toml.decode(data, type=Settings)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"`{path}`: {_plain(str(error))}") from None
    _check(settings, path)
    return settings


def _plain(message: str) -> str:
    found = re.match(r"Object contains unknown field `(.+?)`(?: - at `\$\.?(.*)`)?$", message)
    if found:
        return f"the key `{found[1]}` is unknown in `{found[2] or 'the top level'}`: misspelt?"
    return message[:1].lower() + message[1:]


def _check(settings: Settings, path: Path) -> None:
    url = urlsplit(settings.issuer.url)
    try:
        whole = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        whole = False
    if not whole or url.path or url.query or url.fragment:
        raise ConfigurationError(
            f"`{path}`: issuer.url must be http(s)://host[:port], not `{settings.issuer.url}`"
        )
    listen = settings.listen
    if bool(listen.certificate) != bool(listen.key):
        raise ConfigurationError(f"`{path}`: listen.certificate and listen.key go together")
    exposed = not (_is_loopback(listen.host) or listen.certificate or listen.plain_behind_proxy)
    if exposed:
        raise ConfigurationError(
            f"`{path}`: listen.host `{listen.host}` is not loopback and there is no TLS",
            hint="set listen.certificate and listen.key, or listen.plain_behind_proxy = true",
        )
    if settings.limits.buffered_bytes < settings.limits.body_bytes:
        raise ConfigurationError(f"`{path}`: limits.buffered_bytes is less than limits.body_bytes")
    for block in (*listen.proxies, *listen.metrics):
        try:
            ipaddress.ip_network(block)
        except ValueError:
            raise ConfigurationError(f"`{path}`: [listen]: `{block}` is no network") from None
    for name, model in settings.models.items():
        if not 0 < model.output <= model.context:
            raise ConfigurationError(
                f"`{path}`: models.{name}.output must lie between 1 and models.{name}.context"
            )
        shared = [
            other
            for other, one in settings.models.items()
            if model.canary and not one.canary and one.url == model.url
        ]
        if shared:
            raise ConfigurationError(
                f"`{path}`: models.{name} is a canary and has the server of models.{shared[0]}",
                hint="give the canary a server of its own: it asks for no standing",
            )
    for table in ("auditors", "resource_servers"):
        for name, digest in getattr(settings, table).items():
            if not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise ConfigurationError(f"`{path}`: {table}.{name} is not a SHA-256 in hex")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
