"""Where the sidecar listens: a loopback port or a unix socket, and only for its own user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from bailment.agent import peers, private
from bailment.agent.profile import is_loopback
from bailment.errors import ConfigurationError

#: What the protocol tells the application in `scope["state"]`.
OURS, BREAK_OFF = "bailment.ours", "bailment.break_off"


@dataclass(slots=True)
class Listener:
    """A bound socket; `path` is a unix socket's, which is removed at the end."""

    socket: socket.socket
    path: Path | None = None

    @property
    def base_url(self) -> str:
        """The URL that clients are given; over a unix socket its host means nothing."""
        if self.path is not None:
            return "http://localhost"
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def close(self) -> None:
        self.socket.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def bind(listen: str, *, check_peers: bool = True) -> Listener:
    """Bind `127.0.0.1:PORT`, `[::1]:PORT` (0 takes a free port) or `unix:PATH`.

    ConfigurationError for any other address, for a folder that others can enter, and where
    callers can be told apart but `check_peers` is off, or cannot be but it is on.
    """
    if listen.startswith("unix:"):
        listener = _bind_unix(Path(listen.removeprefix("unix:")).absolute())
    else:
        listener = _bind_tcp(listen)
    if peers.can_tell(listener.socket.family) != check_peers:
        listener.close()
        if check_peers:
            raise ConfigurationError(
                "this machine does not say which user connects",
                hint="listen on unix:PATH in a folder of mode 0700, and turn the check off",
            )
        raise ConfigurationError(
            "the check of who connects can be turned off only where it cannot be made"
        )
    return listener


class LocalProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also tells the application who connected."""

    def __init__(
        self,
        owner: int | None,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._owner = owner

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        ours = self._owner is None or peers.peer_uid(connection) == self._owner
        # Closing sends what is written, but never the chunk that would end an answer cleanly.
        self.app_state = {**self.app_state, OURS: ours, BREAK_OFF: transport.close}


class LocalServer(uvicorn.Server):
    """uvicorn without its output, which returns after SIGTERM or SIGINT instead of dying of it.

    `owner` is the one user id that is let in; None where that cannot be told.
    """

    def __init__(self, app: Any, owner: int | None, drain_seconds: int) -> None:
        config = uvicorn.Config(
            app,
            http=partial(LocalProtocol, owner),  # type: ignore[arg-type]  # any factory will do
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=drain_seconds,
        )
        super().__init__(config)
        self._ready: Callable[[], None] = lambda: None

    async def run_on(self, listener: Listener, ready: Callable[[], None]) -> None:
        """Serve until a signal or `should_exit`; `ready` is called when connections are accepted.

        Answers that are under way get `drain_seconds`; what is not finished then is broken off.
        """
        self._ready = ready
        await self.serve(sockets=[listener.socket])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def _bind_tcp(listen: str) -> Listener:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):([0-9]{1,5})", listen)
    host = (match[1] or match[2]) if match else ""
    if match is None or not is_loopback(host) or int(match[3]) > 65535:
        raise ConfigurationError(
            f"`{listen[:100]}` is not an address to listen on",
            hint="use 127.0.0.1:PORT, [::1]:PORT or unix:PATH",
        )
    made = socket.socket(socket.AF_INET6 if match[1] else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, int(match[3])))
    except OSError as error:
        made.close()
        raise ConfigurationError(f"cannot listen on `{listen}`: {error.strerror}") from None
    return Listener(made)


def _bind_unix(path: Path) -> Listener:
    private.make_folder(path.parent)
    _remove_stale(path)
    made = socket.socket(socket.AF_UNIX)
    try:
        made.bind(str(path))
        os.chmod(path, 0o600)
    except OSError as error:
        made.close()
        raise ConfigurationError(f"cannot listen on `{path}`: {error.strerror or error}") from None
    return Listener(made, path)


def _remove_stale(path: Path) -> None:
    """Remove the socket of a sidecar that is gone; refuse anything else that is there."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigurationError(f"`{path}` exists and is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ConfigurationError(f"another process listens on `{path}`")
