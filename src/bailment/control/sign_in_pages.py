"""What a browser is shown while a person signs in: plain HTML that needs no script and loads
nothing, and says what has happened and what comes next."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape

from starlette.responses import HTMLResponse, RedirectResponse, Response

_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:4rem auto;padding:0 1rem}"
    "code{font-size:1.4rem;letter-spacing:.1em}"
)
_STYLED = b64encode(sha256(_STYLE.encode()).digest()).decode()
#: Nothing is loaded, framed, posted or run; and the address, which is a secret, goes nowhere.
HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLED}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
}


def _page(title: str, *paragraphs: str, status: int = 200) -> Response:
    body = "".join(f"<p>{one}</p>" for one in paragraphs)
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    )
    return HTMLResponse(text, status, HEADERS)


def invited(command: str) -> Response:
    """Somebody opened an invitation in a browser."""
    return _page(
        "This is an invitation for a device",
        f"On the device that you will work with, run <code>{escape(command)}</code> with the whole "
        "address of this page in quotes. It makes a key that never leaves the device.",
    )


def ask(code: str, provider: str, onward: str) -> Response:
    """Before the browser leaves for the provider: whose device this is for."""
    return _page(
        "Sign in for this device",
        f"The device for which you sign in shows the code <code>{escape(code)}</code>.",
        "If your own terminal does not show just this code, or you did not begin this yourself, "
        "close this page: somebody else wants to use your name. Tell your organisation's security.",
        f'<a rel="nofollow" href="{escape(onward)}">My terminal shows it: sign in at '
        f"{escape(provider)}</a>",
    )


def finished(completion: str) -> Response:
    """Signed in; the device has yet to hear of it."""
    return _page(
        "You are signed in",
        f"In the terminal where you began, type <code>{escape(completion)}</code>.",
        "Nobody else needs it: whoever asks you for it wants to use your name.",
        "Then your terminal shows what comes next. You can close this page.",
    )


def failed(why: str, hint: str) -> Response:
    """The sign-in came to nothing."""
    return _page(
        "You are not signed in",
        f"{escape(why[:1].upper() + why[1:])}.",
        *([f"{escape(hint[:1].upper() + hint[1:])}."] if hint else []),
        "Nothing was recorded in your name. To try again, start again in your terminal.",
        status=403,
    )


def unknown() -> Response:
    """There is no such sign-in, or it is over."""
    return _page(
        "This sign-in is over",
        "It was used, it took too long, or it began in another browser. To try again, start again "
        "in your terminal.",
        status=404,
    )


def onward(url: str) -> Response:
    """To the provider, or to the device's own listener."""
    return RedirectResponse(url, 303, HEADERS)
