"""NATS JetStream: one stream per source, a durable pull consumer per reader, nothing acknowledged.

Order and exactly-once effect do not rest on the broker: the publisher names the predecessor of each
message, the reader's position lives in its own database, and the broker only says where to look.
What it cannot do: keep what its disk loses (the relay sends it again).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from ssl import SSLError
from urllib.parse import urlsplit

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from stagepost.engine.batch import Cursor
from stagepost.engine.news import News
from stagepost.engine.transports.nats_api import ASK_SECONDS
from stagepost.engine.transports.nats_client import BlockClient, trusting
from stagepost.engine.transports.nats_envelope import words_of
from stagepost.engine.transports.nats_publisher import NatsPublisher
from stagepost.engine.transports.nats_reader import NatsSubscription
from stagepost.errors import TransportUnavailable

REFUSED = "Authorization Violation"
"""What the broker says to a user whom it does not know, or whose password is wrong."""
REFUSED_SECONDS = 5.0
"""Seconds before it is asked again, for somebody must mend that; from an outage it comes back by
itself."""

log = structlog.get_logger(__name__)


class NatsTransport:
    """The `Transport` port on one NATS connection, made when it is first needed, then kept up.

    `ca` vouches for the server where the URL says tls.
    """

    def __init__(self, url: str, name: str, ca: Path | None = None) -> None:
        self._url = url
        self._news = News()
        self._tls = trusting(ca)
        self._name = name
        self._client: BlockClient | None = None
        self._connecting = asyncio.Lock()
        self.lost = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def publisher(self, source: str) -> NatsPublisher:
        return NatsPublisher(await self._connected(), source)

    async def subscribe(
        self,
        reader: str,
        sources: Mapping[str, Collection[str]],
        cursors: Collection[Cursor],
        wake: Callable[[], None],
    ) -> NatsSubscription:
        subscription = NatsSubscription(await self._connected(), reader, wake, self.lost)
        latest = {c.id.source: c for c in sorted(cursors, key=lambda c: c.id.incarnation)}
        try:
            for source in sources:
                await subscription.open(source, latest.get(source))
        except BaseException:  # also where we are cancelled: what was opened would go on
            await subscription.close()
            raise
        return subscription

    async def hear(self, service: str, heard: Callable[[str], None]) -> None:
        async def receive(message: Msg) -> None:
            heard(message.data.decode(errors="replace"))

        client = await self._connected()
        try:
            await client.subscribe(words_of(service), cb=receive)
            await client.flush(int(ASK_SECONDS))
        except (NatsError, OSError, TimeoutError) as error:
            raise TransportUnavailable(f"the broker does not answer: {error!r}") from error

    async def tell(self, service: str, word: str) -> None:
        if self._client is not None and self._client.is_connected:
            with suppress(NatsError):
                await self._client.publish(words_of(service), word.encode())

    async def _connected(self) -> BlockClient:
        """Connect, once.

        Raises:
            TransportUnavailable: the broker cannot be reached, or does not let us in.
        """
        async with self._connecting:
            if self._client is None or self._client.is_closed:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> BlockClient:
        try:
            client = BlockClient()
            await client.connect(
                self._url,
                name=self._name,
                tls=self._tls,
                inbox_prefix=f"_INBOX_{self._name}".encode(),
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,  # type: ignore[arg-type]  # a float sleeps as well
                connect_timeout=3,
                pending_size=64 << 20,
                allow_reconnect=True,
                disconnected_cb=self._disconnected,
                error_cb=partial(self._failed, client),
            )
        except (OSError, TimeoutError, NatsError) as error:
            raise TransportUnavailable(f"cannot connect to the broker: {error}") from error
        except asyncio.CancelledError:  # what was opened would stay open
            await client.close()
            raise
        return client

    async def _disconnected(self) -> None:
        self.lost.set()

    async def _failed(self, client: BlockClient, error: Exception) -> None:
        """Say what the client tells us alone: of a refused publication its sender sees a time-out.

        The client waits for us before it tries again.
        """
        if client.is_closing:
            return
        reason = str(error) or type(error).__name__
        if not self.connected:
            reason = f"{_attempt(self._url)}: {reason} ({_blamed_for(error)})"
        if self._news.is_new(reason):
            log.warning("broker", reason=reason)
        if REFUSED in reason:
            await asyncio.sleep(REFUSED_SECONDS)


def _attempt(url: str) -> str:
    """Say whom we do not get to, and as whom; a user without a password is a secret as well."""
    parts = urlsplit(url)
    user = f" as {parts.username}" if parts.password else ""
    return f"cannot connect to {parts.netloc.rpartition('@')[2]}{user}"


def _blamed_for(error: Exception) -> str:
    """Return the settings of which one is wrong, unless the broker is."""
    trust = ", STAGEPOST_NATS_CA" if isinstance(error, SSLError) else ""
    return f"STAGEPOST_NATS_URL{trust}"
