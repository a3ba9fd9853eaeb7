"""The control plane in a browser: who may see which page, and what every answer carries.

One table says which role may ask for what; a request passes it before its handler sees it. Pages
work without scripts, except where a passkey is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bailment.access.passkey import origin_of
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Operator
from bailment.clock import now_ms
from bailment.control.actions import Actions
from bailment.control.operators import Operators
from bailment.control.requests import refusal
from bailment.control.sessions import Session, Sessions

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: with it browsers say `Origin: null` of our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
    "cache-control": "no-store",
}

SECURITY, APPROVER, ADMIN, AUDITOR = (
    "issuer-security",
    "issuer-approver",
    "recipient-admin",
    "auditor",
)
EVERYBODY = (SECURITY, APPROVER, ADMIN, AUDITOR)
ISSUER = (SECURITY, APPROVER, AUDITOR)
SIGNERS = (SECURITY, APPROVER, ADMIN)


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks: an operator, with the session."""

    id: str
    operator: Operator
    session: Session
    name: str


class Page(NamedTuple):
    """A route for operators of these roles; `method` is GET, or POST for what changes something."""

    method: str
    path: str
    roles: tuple[str, ...]
    handler: Callable[[Request, Who], Awaitable[Response]]


class Browser:
    """What all pages share: sessions, templates, and the way in."""

    def __init__(self, actions: Actions, operators: Operators) -> None:
        self.actions = actions
        self.operators = operators
        self.sessions = Sessions()
        self.secure = operators.url.startswith("https:")
        #: A `__Host-` cookie is secure; browsers keep none that came over plain HTTP.
        self.cookie = "__Host-bailment" if self.secure else "bailment"

    @property
    def terms(self) -> Any:
        """What the spec asks of operators."""
        return self.actions.log.fold.register.conditions.operators

    async def page(
        self, template: str, who: Who | None = None, status: int = 200, **values: Any
    ) -> Response:
        """A page, made beside the event loop: a long list takes a while."""
        role = who.operator.role if who is not None else ""
        told = {"who": who, "role": role, "url": self.operators.url, **values}
        text = await run_in_threadpool(_render, template, told)
        return HTMLResponse(text, status)

    def who(self, request: Request) -> Who | None:
        """Who is signed in."""
        value = request.cookies.get(self.cookie, "")
        session = self.sessions.find(value, self.terms, now_ms()) if value else None
        operator = self.operators.by_id(session.operator) if session is not None else None
        if session is None or operator is None:
            return None
        name = self.operators.name(session.operator)
        return Who(session.operator, operator, session, name)

    def sign_in(self, response: Response, operator: str) -> None:
        """Begin a session in this answer."""
        response.set_cookie(
            self.cookie,
            self.sessions.begin(operator, now_ms()),
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="strict",
        )

    def sign_out(self, request: Request, response: Response) -> None:
        """End the session."""
        self.sessions.end(request.cookies.get(self.cookie, ""))
        response.delete_cookie(
            self.cookie, path="/", secure=self.secure, httponly=True, samesite="strict"
        )

    def foreign(self, request: Request) -> bool:
        """Whether a request that changes something may come from another site's page."""
        return request.headers.get("origin") != origin_of(self.operators.url)

    def guarded(self, page: Page) -> Route:
        """A route that asks the table first."""

        async def handle(request: Request) -> Response:
            if page.method == "POST" and self.foreign(request):
                return refusal(Refused(Reason.ROUTE_UNKNOWN))
            who = self.who(request)
            if who is None:
                if page.method == "POST":
                    return RedirectResponse("/console/sign-in", 303)
                return RedirectResponse(f"/console/sign-in?next={quote(request.url.path)}", 303)
            if who.operator.role not in page.roles:
                return await self.page(
                    "message.html",
                    who,
                    403,
                    title="Not for you",
                    text=f"As {who.operator.role} you cannot do this.",
                )
            return await page.handler(request, who)

        return Route(page.path, handle, methods=[page.method])


def browser_app(browser: Browser, pages: list[Page], routes: list[Route]) -> ASGIApp:
    """The application under `/console`: `routes` are for people who are not signed in yet."""
    static = Mount("/console/static", StaticFiles(directory=_HERE / "static"))

    async def nothing(request: Request, error: Exception) -> Response:
        return await browser.page("message.html", None, 404, title="Nothing here", text="")

    app = Starlette(
        routes=[static, *routes, *map(browser.guarded, pages)],
        exception_handlers={404: nothing, 405: nothing},
    )
    app.router.redirect_slashes = False
    return _sealed(app, browser)


def _sealed(app: ASGIApp, browser: Browser) -> ASGIApp:
    """Headers on every answer; and nothing at all over plain HTTP to another machine."""
    headers: Mapping[str, str] = _HEADERS
    if browser.secure:
        headers = {**headers, "strict-transport-security": "max-age=31536000"}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    usable = browser.secure or urlsplit(browser.operators.url).hostname in _LOOPBACK

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [one for one in message["headers"] if one[0].decode() not in headers]
                message["headers"] = kept + raw
            await send(message)

        if not usable:
            told = Refused(Reason.ROUTE_UNKNOWN)
            await refusal(told)(scope, receive, send_sealed)
            return
        await app(scope, receive, send_sealed)

    return wrapped


def inside(path: str) -> str:
    """Where to go after signing in: a page of ours, whatever the address bar said."""
    parts = urlsplit(path)
    ours = not parts.scheme and not parts.netloc and parts.path.startswith("/console/")
    return parts.path if ours and "\\" not in path and parts.path.isprintable() else "/console/"


def _render(template: str, told: Mapping[str, Any]) -> str:
    return _templates().get_template(template).render(told)


@cache
def _templates() -> Environment:
    """Made with the first page: most issuers that run show none."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _plain(value: Any) -> Any:
    """Text of others with everything escaped that does not print, so that nothing hides in it."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value
    return "".join(ch if ch.isprintable() else ascii(ch)[1:-1] for ch in value)
