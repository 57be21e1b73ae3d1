"""How an app is served: uvicorn, and the headers that every response carries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from socket import socket
from types import FrameType

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stagepost.engine.follow import sleep_until
from stagepost.engine.web.problems import PROBLEM_JSON

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

BACKLOG = 1024
"""Connections that may wait to be accepted; whatever the socket was opened with."""

PARTING_SECONDS = 1.0
"""How long connections get for one more request, which tells them that it was the last."""


REQUEST_SECONDS = 10.0
"""How long a client may take to send a request, from connecting or its first byte to its last."""


MAX_HEAD = 64 * 1024
"""Bytes that a request may have before its body: its address and its headers."""


class Connection(HttpToolsProtocol):
    """A connection that is closed where its client sends nothing, or never finishes a request.

    Who has begun one is told (408), where an answer to it can come now. And it is closed where its
    client says too much before it says what: uvicorn keeps whatever comes of that, and only limits
    the silence after an answer.
    """

    _limit: asyncio.TimerHandle | None = None
    _head = 0
    _is_in_head = True
    _is_counted = True
    _was_told_what = False

    def data_received(self, data: bytes) -> None:
        """Read on. What ends one request and begins the next counts for neither."""
        was_counted, self._was_told_what = self._is_counted, False
        super().data_received(data)
        if was_counted and self._is_counted and not self._was_told_what:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._close_in_time(transport.close)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._close_in_time(self._refuse_slow)

    def on_headers_complete(self) -> None:
        self._is_in_head = self._is_counted = False
        self._was_told_what, self._head = True, 0
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Count what comes until there is a body again: behind the last chunk there may be more."""
        self._is_counted, self._was_told_what, self._head = True, True, 0

    def on_body(self, body: bytes) -> None:
        self._is_counted, self._was_told_what = False, True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_in_head = self._is_counted = True
        self._head = 0
        self._stop_waiting()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _close_in_time(self, close: Callable[[], None]) -> None:
        self._stop_waiting()
        self._limit = self.loop.call_later(REQUEST_SECONDS, close)

    def _stop_waiting(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _refuse_slow(self) -> None:
        """Close it; say why, unless that would be taken for the answer to another request."""
        if self._is_its_turn:
            self.transport.write(self._too_slow())
        self.transport.close()

    @property
    def _is_its_turn(self) -> bool:
        """Whether all requests before this one are answered, and this one is not yet."""
        if self._is_in_head:
            return bool(getattr(self.cycle, "response_complete", True))  # at first there is none
        return not self.pipeline and not self.cycle.response_started

    def _too_slow(self) -> bytes:
        detail = f"it was not sent whole within {REQUEST_SECONDS:g} s"
        problem = self.config.loaded_app.state.problems.of(HTTPStatus.REQUEST_TIMEOUT, detail)
        body: bytes = problem.model_dump_json().encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", PROBLEM_JSON.encode()),
            (b"content-length", str(len(body)).encode()),
            _CLOSE,
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        return b"".join([b"HTTP/1.1 408 Request Timeout\r\n", *lines, b"\r\n", body])


class Server(uvicorn.Server):
    """A server that calls `serving` when it does, and from which nobody is cut off.

    `leave` ends what requests may wait for.
    """

    def __init__(
        self, config: uvicorn.Config, serving: Callable[[], None], leave: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._serving = serving
        self._leave = leave
        self._ends = asyncio.Event()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._serving()

    async def main_loop(self) -> None:
        """Set the Date header once a second: uvicorn's own loop wakes ten times for that."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 10
            await sleep_until(self._ends, 1.0)

    def end(self) -> None:
        """Let `serve` return."""
        self.should_exit = True
        self._ends.set()

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
        self._leave()
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
            http=Connection,
            ws="none",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            log_config=None,
            server_header=False,
            headers=SECURITY_HEADERS,
            timeout_graceful_shutdown=5,
            backlog=BACKLOG,
        ),
        serving,
        app.state.leave,
    )
