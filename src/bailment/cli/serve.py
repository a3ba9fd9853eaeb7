"""`bailment serve`: gateway and control plane in one process, which owns the issuer's folder."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from bailment import __version__
from bailment.access.nonce import Nonces
from bailment.cli.beside import beside
from bailment.cli.tls import server_tls
from bailment.clock import now_ms
from bailment.control.actions import Actions
from bailment.control.assurance import Assurance, known_signers
from bailment.control.console import console_app
from bailment.control.effect import Effects
from bailment.control.evaluator import Evaluator
from bailment.control.holding import Holding
from bailment.control.observations import Observer
from bailment.control.operators import Operators
from bailment.control.outbound import Outbound
from bailment.control.page_routes import pages_app
from bailment.control.public import public_app
from bailment.control.reporting import Reporting
from bailment.control.standing_routes import StandingRoutes
from bailment.control.two_person import Approvals
from bailment.errors import BailmentError, ConfigurationError
from bailment.gateway.app import Gateway
from bailment.gateway.server import Bounds, build_server
from bailment.ledger.records import LogStarted, Policy, SpecApplied
from bailment.settings import Listen, Settings, load_settings
from bailment.store.authority import Authority, open_authority
from bailment.store.durable import Files
from bailment.store.folder import Folder, FolderLock
from bailment.store.log import Log, open_log
from bailment.store.people import People
from bailment.store.secrets import Secrets, load_secrets, make_secrets
from bailment.store.sequencer import Sequenced
from bailment.store.staging import Staging
from bailment.store.switch import SIGNAL
from bailment.worker.supervisor import Supervisor

logger = structlog.get_logger("bailment.serve")

#: A nonce lives for one to two of these, which is longer than any honest proof needs.
_NONCE_PERIOD_MS = 120_000
#: After the drain every access is closed; this is what is left to slow readers, in seconds.
_LAST_WORDS = 2.0


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer opened for writing."""

    folder: Folder
    settings: Settings
    secrets: Secrets
    authority: Authority
    log: Log
    actions: Actions


@contextlib.asynccontextmanager
async def opened(
    folder: Folder, staging: Callable[..., Staging] = Staging
) -> AsyncIterator[Issuer]:
    """Own the folder and open its log; close both at the end."""
    folder.require()
    mode = folder.root.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigurationError(
            f"others may enter `{folder.root}` (mode {mode:04o})", hint=f"chmod 700 {folder.root}"
        )
    settings = load_settings(folder.settings)
    secrets = load_secrets(folder)
    if secrets.log.name != settings.issuer.origin:
        raise ConfigurationError(
            f"issuer.origin is `{settings.issuer.origin}`, and the log's key is "
            f"`{secrets.log.name}`'s",
            hint="the origin is fixed at init; put it back",
        )
    with FolderLock(folder):
        authority = open_authority(folder, Files(), settings.issuer.origin, now_ms())
        log = open_log(folder, secrets, now_ms, staging=staging)
        try:
            people = People(log.fold.register, log.reader)
            yield Issuer(folder, settings, secrets, authority, log, Actions(log, secrets, people))
        finally:
            await log.close()


async def initialise(folder: Folder, settings_text: str, origin: str, author: str) -> str:
    """Make a new issuer's folder: settings, secrets, and the log's first two records.

    Returns the vkey to pin. ConfigurationError if there is something already.
    """
    if folder.root.exists() and any(folder.root.iterdir()):
        raise ConfigurationError(f"`{folder.root}` is not empty", hint="choose a new folder")
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.root.chmod(0o700)
    files = Files()
    files.write(folder.settings, settings_text.encode())
    settings = load_settings(folder.settings)
    secrets = make_secrets(folder, origin, files)
    async with opened(folder) as issuer:
        sequencer = issuer.log.sequencer
        started = LogStarted(origin, settings.issuer.url, secrets.issuer_key.jwk)
        await _must(sequencer.append(sequencer.draft(started, os.urandom(16).hex())))
        policy = Policy(contact=settings.issuer.contact)
        await issuer.actions.append(lambda now: SpecApplied(policy, author))
    return secrets.log.public.vkey


async def serve(folder: Folder, ready: asyncio.Event | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises BailmentError if the log fails."""
    # Only the guard's thread takes it; every thread that is started from here on inherits this.
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})
    async with opened(folder) as issuer:
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked.set)
        with listening(issuer.settings.listen) as listener:
            _tune_interpreter()
            await run(issuer, listener, asked, ready)


async def run(
    issuer: Issuer, listener: socket.socket, asked: asyncio.Event, ready: asyncio.Event | None
) -> None:
    """Serve on `listener` until asked to stop. Raises BailmentError if the log fails."""
    if issuer.log.fold.register.state.url != issuer.settings.issuer.url:
        raise ConfigurationError(
            "issuer.url is not the one in the log, which every proof is made for",
            hint=f"put back `{issuer.log.fold.register.state.url}`",
        )
    await _register_models(issuer)
    nonces = Nonces(os.urandom(32), _NONCE_PERIOD_MS)
    gateway = Gateway(issuer.log, issuer.settings, nonces, issuer.folder.root)
    signers = known_signers(issuer.settings.assessors, issuer.folder.root)
    assurance = Assurance(issuer.actions, signers)
    observer = Observer(issuer.log)
    evaluator = Evaluator(issuer.actions, assurance, observer)
    outbound = Outbound(frozenset(issuer.settings.outbound.hosts))
    reporting = Reporting(issuer.actions, nonces, outbound)
    public = public_app(
        issuer.actions,
        StandingRoutes(issuer.actions, assurance, evaluator, nonces),
        nonces,
        issuer.settings,
        gateway.journal.refusals,
        gateway.available,
        issuer.authority if issuer.settings.listen.certificate else None,
        reporting.routes,
    )
    supervisor = _supervisor(issuer, gateway)
    operators = _operators(issuer, assurance)
    status = partial(_status, issuer, gateway, supervisor, reporting)
    for collector in (reporting.sinks, reporting.webhooks):
        gateway.metrics.registry.register(collector)
    pages = pages_app(issuer.actions, operators, status, issuer.settings)
    holding = Holding(issuer.actions, Effects(gateway.flights.enforced), operators.approvals)
    console: Any = console_app(
        issuer.actions, assurance, evaluator, status, operators, holding, reporting.sinks
    )
    with _control_socket(issuer.folder) as control:
        front, bounds = _Front(gateway, public, pages, reporting.scim), Bounds(connections=64)
        servers = [
            (_public_server(front, issuer), listener),
            (build_server(console, bounds=bounds, drain_seconds=_LAST_WORDS), control),
        ]
        _warn(issuer)
        await gateway.start()
        worker = [supervisor.run()] if supervisor is not None else []
        running = (evaluator.run(), observer.run(), *reporting.runs(), *worker)
        with contextlib.closing(reporting):
            async with beside(issuer.log.sequencer, running):
                await _run(servers, issuer.log, gateway, asked, ready)
    if (failed := issuer.log.sequencer.failed).done():
        raise BailmentError(
            f"the log failed and the process ends: {failed.result()}",
            hint="nothing acknowledged is lost; find the cause, then start again",
        )


def _supervisor(issuer: Issuer, gateway: Gateway) -> Supervisor | None:
    """What runs the worker, and says how it stands; None where there is to be none."""
    settings = issuer.settings.worker
    if not settings.enabled:
        return None
    supervisor, metrics = Supervisor(issuer.log, settings), gateway.metrics
    metrics.worker_behind.set_function(lambda: supervisor.behind)
    metrics.worker_seconds.set_function(lambda: supervisor.seconds)
    metrics.worker_up.set_function(lambda: supervisor.state == "running")
    metrics.worker_restarts.set_function(lambda: supervisor.restarts)
    return supervisor


def _operators(issuer: Issuer, assurance: Assurance) -> Operators:
    """People in the control plane, and what they sign."""
    approvals, own = Approvals(issuer.actions), issuer.settings.operators
    approvals.performs(SpecApplied, assurance.apply_approved)
    return Operators(issuer.actions, approvals, own.issuer if own is not None else "")


def _warn(issuer: Issuer) -> None:
    """Say loudly what is not watched over."""
    for name, model in issuer.settings.models.items():
        if model.meter is None:
            logger.warning(
                "calls around the gateway will not be noticed: the model has no meter", model=name
            )
    if issuer.log.fold.register.spec is None:
        logger.warning("no spec is in force: recipients have to prove nothing")


def _tune_interpreter() -> None:
    """Requests leave hardly any cycles: look for them seldom, and never among what stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    # Publishing computes for tens of milliseconds; by default it keeps each answer waiting for 5.
    sys.setswitchinterval(0.0005)


async def _run(
    servers: Sequence[tuple[uvicorn.Server, socket.socket]],
    log: Log,
    gateway: Gateway,
    asked: asyncio.Event,
    ready: asyncio.Event | None,
) -> None:
    log.sequencer.failed.add_done_callback(lambda _: asked.set())
    running = [asyncio.create_task(server.serve([listener])) for server, listener in servers]
    for task in running:
        task.add_done_callback(lambda _: asked.set())
    running.append(asyncio.create_task(_announce([server for server, _ in servers], ready)))
    await asked.wait()
    logger.info("stopping", open=len(gateway.flights))
    await gateway.stop()
    for server, _ in servers:
        server.should_exit = True
    running[-1].cancel()  # it would wait for ever for a listener that never came
    ended = await asyncio.gather(*running, return_exceptions=True)
    for cause in ended[:-1]:
        if isinstance(cause, BaseException):
            raise cause


def listening(listen: Listen) -> socket.socket:
    """Bound before anything else, so that a port in use is the first thing to be said."""
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {listen.host}:{listen.port}: {error.strerror or error}",
            hint="see what else listens there, or set listen.port and issuer.url",
        ) from None


@contextlib.contextmanager
def _control_socket(folder: Folder) -> Iterator[socket.socket]:
    """Its owner's alone before anybody can connect; uvicorn would make one for everybody."""
    path = folder.control_socket
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as control:
        try:
            control.bind(str(path))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on `{path}`: {error}",
                hint="a socket's path has at most 107 bytes: serve from a folder higher up",
            ) from None
        try:
            path.chmod(0o600)
            yield control
        finally:
            path.unlink(missing_ok=True)


async def _announce(servers: list[uvicorn.Server], ready: asyncio.Event | None) -> None:
    while not all(server.started for server in servers):  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.01)
    logger.info("serving", version=__version__)
    if ready is not None:
        ready.set()


class _Front:
    """One listener: models, health and metrics to the gateway, pages to their own application, the
    rest to control."""

    _CONTROL = (
        *("/oauth/", "/enrol", "/sign-in", "/providers", "/delegations", "/log/", "/.well-known/"),
        *("/standing", "/evidence/", "/signals/", "/webhooks", "/notices", "/custody"),
        "/misuse",
    )

    def __init__(self, gateway: Gateway, public: ASGIApp, pages: ASGIApp, scim: ASGIApp) -> None:
        self._gateway = gateway
        self._scim = scim
        self._public = public
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        self._gateway.tripwires.look(scope)
        if scope["path"] == "/console" or scope["path"].startswith("/console/"):
            await self._pages(scope, receive, send)
        elif scope["path"].startswith("/scim/v2/"):
            await self._scim(scope, receive, send)
        elif scope["path"].startswith(self._CONTROL):
            await self._public(scope, receive, send)
        else:
            await self._gateway(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    """Nothing starts or ends with the listener; `serve` owns what lives longer."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _public_server(app: Any, issuer: Issuer) -> uvicorn.Server:
    limits = issuer.settings.limits
    bounds = Bounds(
        connections=limits.connections,
        header_count=limits.header_count,
        header_bytes=limits.header_bytes,
        header_seconds=limits.header_seconds,
        body_seconds=limits.body_seconds,
    )
    tls = server_tls(issuer.folder, issuer.settings.listen, issuer.authority)
    return build_server(app, bounds=bounds, tls=tls, drain_seconds=_LAST_WORDS)


async def _register_models(issuer: Issuer) -> None:
    known = issuer.log.fold.register.state.models
    for name, model in issuer.settings.models.items():
        found = known.get(name)
        limits, canary = (model.context, model.output), model.canary
        if (
            found is None
            or (found.context, found.output) != limits
            or ((found.canary is True) != canary)
        ):
            await issuer.actions.register_model(name, *limits, "settings", canary=canary)


def _status(
    issuer: Issuer, gateway: Gateway, worker: Supervisor | None, reporting: Reporting
) -> dict[str, Any]:
    refused = gateway.available()
    return {
        "version": __version__,
        "pid": os.getpid(),
        "size": issuer.log.fold.size,
        "epoch": issuer.log.fold.register.epoch,
        "open": len(gateway.flights),
        "access": refused.reason.value if refused else "served",
        "heard": round(gateway.feed.age),
        "killed": gateway.guard.killed,
        "maintenance": round(gateway.feed.maintained),
        **({"sinks": told} if (told := reporting.sinks.summary()) else {}),
        **({"webhooks": told} if (told := reporting.webhooks.summary()) else {}),
        "worker": {
            **(worker.status() if worker is not None else {"state": "disabled"}),
            "prompts_dropped": gateway.prompts.dropped,
        },
    }


async def _must(appending: Any) -> None:
    answer = await appending
    if not isinstance(answer, Sequenced):
        raise BailmentError(f"the log refused its own record: {answer}")
