"""The listener: uvicorn around an application, within `Bounds`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from bailment.gateway.bounds import BoundedProtocol, Bounds

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

__all__ = ["Bounds", "build_server"]


class _Server(uvicorn.Server):
    """uvicorn's server, whose requests have ended before its lifespan does."""

    # Several servers may end together, so signals are for whoever runs them.
    capture_signals = contextlib.nullcontext  # type: ignore[assignment]

    def __init__(self, config: uvicorn.Config, bounds: Bounds) -> None:
        super().__init__(config)
        self._bounds = bounds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        config = self.config
        protocol = partial(
            BoundedProtocol, self._bounds, config, self.server_state, self.lifespan.state
        )
        loop = asyncio.get_running_loop()
        for listener in sockets or ():
            # uvicorn leaves a TLS handshake a whole minute.
            seconds = None if config.ssl is None else self._bounds.header_seconds
            self.servers.append(
                await loop.create_server(
                    protocol,
                    sock=listener,
                    ssl=config.ssl,
                    ssl_handshake_timeout=seconds,
                    backlog=config.backlog,
                )
            )

    async def _wait_tasks_to_complete(self) -> None:
        try:
            await super()._wait_tasks_to_complete()
        except asyncio.CancelledError:
            tasks = set(self.server_state.tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            raise


def build_server(
    app: ASGI3Application,
    *,
    bounds: Bounds,
    tls: ssl.SSLContext | None = None,
    drain_seconds: float = 20.0,
) -> uvicorn.Server:
    """A server for `app`: run it with `await server.serve([socket, …])` on a uvloop event loop.

    It believes no X-Forwarded-For, speaks no WebSocket and takes no signals. Once `should_exit`
    is set, requests have `drain_seconds` to end and are cancelled then; the application's
    lifespan ends last.
    """
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        # Both go to the event loop as they are, which takes fractions.
        timeout_keep_alive=bounds.idle_seconds,  # type: ignore[arg-type]
        timeout_graceful_shutdown=drain_seconds,  # type: ignore[arg-type]
        ssl_context_factory=None if tls is None else lambda config, default: tls,
    )
    return _Server(config, bounds)
