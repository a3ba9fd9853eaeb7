"""The control plane's public routes: tokens, enrolment, delegation, standing, the log itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bailment.access import certificate, tripwire
from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.clock import now_ms
from bailment.control import metadata
from bailment.control.actions import Actions
from bailment.control.attesting import Attesting, load_roots
from bailment.control.certification import Certification
from bailment.control.client_auth import ClientAuth
from bailment.control.enrolment import Enrolment
from bailment.control.metadata import Metadata
from bailment.control.outbound import Outbound
from bailment.control.requests import bears, refusal
from bailment.control.sign_in_routes import sign_in_routes
from bailment.control.standing_routes import StandingRoutes
from bailment.control.token_state import TokenState
from bailment.control.tokens import TokenEndpoint
from bailment.control.tripwires import TripwireRoute
from bailment.control.workloads import Workloads
from bailment.errors import FormatError
from bailment.ledger.tiles import ENTRIES, parse_path
from bailment.settings import Settings
from bailment.store.authority import Authority
from bailment.store.durable import Files
from bailment.store.providers import ProviderSecrets
from bailment.store.refusals import Refusals

#: tlog-tiles: everything but the checkpoint never changes.
_FOREVER = "max-age=31536000, immutable"


def public_app(
    actions: Actions,
    standing: StandingRoutes,
    nonces: Nonces,
    settings: Settings,
    refusals: Refusals,
    available: Callable[[], Refused | None],
    authority: Authority | None,
    reporting: Sequence[Route] = (),
) -> ASGIApp:
    """The application. `available` says why no access, and so no token, can be had just now;
    `authority` certifies devices, None where nothing of ours ends TLS; `reporting` has the routes
    of recipients' systems."""
    certification = Certification(actions, nonces, authority)
    roots = load_roots(settings.tpm.roots, actions.log.folder.root)
    attesting = Attesting(actions, nonces, roots)
    enrolment = Enrolment(actions, nonces, attesting)
    log = LogRoutes(actions, settings.auditors)
    outbound = Outbound(frozenset(settings.outbound.hosts))
    secrets = ProviderSecrets(actions.log.folder, Files())
    fold = actions.log.fold
    clients, workloads = ClientAuth(fold, nonces), Workloads(fold, outbound)
    tokens = TokenEndpoint(
        actions, clients, workloads, refusals, available, settings.listen.proxies
    )
    readers = (*settings.auditors.values(), *settings.resource_servers.values())
    state = TokenState(actions, clients, readers, available)
    about = Metadata(fold.register, tls=authority is not None)
    app = Starlette(
        routes=[
            Route(metadata.PATH, about.describe),
            Route(metadata.KEYS, about.keys),
            Route(metadata.TOKEN, tokens.issue, methods=["POST"]),
            Route(metadata.INTROSPECT, state.introspect, methods=["POST"]),
            Route(metadata.REVOKE, state.revoke, methods=["POST"]),
            Route("/enrol/attestations", attesting.challenge, methods=["POST"]),
            Route("/enrol/requests", enrolment.enrol, methods=["POST"]),
            Route("/enrol/requests/{device}", enrolment.status),
            Route("/enrol/pending", enrolment.pending),
            Route(certificate.PATH, certification.certify, methods=["POST"]),
            Route(tripwire.PATH, TripwireRoute(actions, nonces).register, methods=["POST"]),
            Route("/delegations", enrolment.delegate, methods=["POST"]),
            Route("/delegations/mine", enrolment.mine),
            *sign_in_routes(actions, nonces, outbound, secrets),
            Route("/standing", standing.standing),
            Route("/evidence/{kind}", standing.evidence, methods=["POST"]),
            *reporting,
            Route("/log/checkpoint", log.checkpoint),
            Route("/log/{path:path}", log.tile),
        ],
        exception_handlers={404: _nothing, 405: _other_method},
    )
    app.router.redirect_slashes = False  # to whatever host the caller names
    return _with_nonce(app, nonces)


async def _nothing(request: Request, error: Exception) -> Response:
    return refusal(Refused(Reason.ROUTE_UNKNOWN))


async def _other_method(request: Request, error: Exception) -> Response:
    response = refusal(Refused(Reason.METHOD_NOT_ALLOWED))
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)  # `Allow`
    return response


class LogRoutes:
    """C2SP tlog-tiles over HTTP, from the published folder. Entry bundles are for auditors."""

    def __init__(self, actions: Actions, auditors: Mapping[str, str]) -> None:
        self._root = actions.log.folder.log
        self._auditors = tuple(auditors.values())

    async def checkpoint(self, request: Request) -> Response:
        """The latest published checkpoint."""
        note = await run_in_threadpool(_read, self._root / "checkpoint")
        if note is None:
            return PlainTextResponse("the log is empty\n", 404)
        return Response(note, media_type="text/plain", headers={"cache-control": "no-store"})

    async def tile(self, request: Request) -> Response:
        """A tile or, with an auditor's credential, an entry bundle."""
        try:
            tile = parse_path(request.path_params["path"])
        except FormatError as error:
            return PlainTextResponse(f"{error}\n", 404)
        if tile.level == ENTRIES and not bears(request, self._auditors):
            text = "entry bundles are for auditors: send a credential as bearer token\n"
            return PlainTextResponse(text, 401, {"www-authenticate": "Bearer"})
        data = await run_in_threadpool(_read, self._root / tile.path)
        if data is None:
            return PlainTextResponse("there is no such tile\n", 404)
        # What takes a credential to read is for no shared cache (RFC 9111, 5.2.2.7).
        whose = "private" if tile.level == ENTRIES else "public"
        headers = {"cache-control": f"{whose}, {_FOREVER}"}
        return Response(data, media_type="application/octet-stream", headers=headers)


def _with_nonce(app: ASGIApp, nonces: Nonces) -> ASGIApp:
    """Hand out the current nonce with every answer (RFC 9449 §8.2)."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_nonce(message: Message) -> None:
            if message["type"] == "http.response.start":
                nonce = nonces.current(now_ms()).encode()
                message["headers"] = [*message.get("headers", ()), (b"dpop-nonce", nonce)]
            await send(message)

        await app(scope, receive, send_with_nonce)

    return wrapped


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
