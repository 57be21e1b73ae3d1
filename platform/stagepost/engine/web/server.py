"""How an app is served: uvicorn, and the headers that every response carries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from socket import socket
from types import FrameType

import uvicorn
from litestar import Litestar

# Swagger UI's style sheet holds its icons as data: images.
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)

SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Content-Security-Policy", _CONTENT_SECURITY_POLICY),
]
"""The server itself adds them: also to what it answers before the app is asked, and at no cost."""


_CLOSE = (b"connection", b"close")

PARTING_SECONDS = 1.0
"""How long connections get for one more request, which tells them that it was the last."""


class Server(uvicorn.Server):
    """A server that calls `serving` when it does, and from which nobody is cut off."""

    def __init__(self, config: uvicorn.Config, serving: Callable[[], None]) -> None:
        super().__init__(config)
        self._serving = serving

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._serving()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leave signals to who runs us: uvicorn would close connections at once."""

    async def drain(self) -> None:
        """Take no new connections; end those that there are with their next answer.

        One that is closed while its client sends fails a request. So they are told with an answer
        that it was the last; who asks nothing for a while is no longer waited for.
        """
        if not self.started:
            return
        for server in self.servers:
            server.close()
        self.config.encoded_headers.append(_CLOSE)
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
        loop = asyncio.get_running_loop()
        until = loop.time() + PARTING_SECONDS
        while self.server_state.connections and loop.time() < until:  # noqa: ASYNC110  # bounded
            await asyncio.sleep(0.02)


def http_server(
    app: Litestar,
    *,
    host: str,
    port: int,
    fd: int | None = None,
    serving: Callable[[], None] = lambda: None,
) -> Server:
    """Make a server for an app, on a host and port or on the listening socket `fd`."""
    return Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            fd=fd,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            log_config=None,
            server_header=False,
            headers=SECURITY_HEADERS,
            timeout_graceful_shutdown=5,
        ),
        serving,
    )
