"""NATS JetStream: one stream per source, a durable pull consumer per reader, nothing acknowledged.

Order and exactly-once effect do not rest on the broker: the publisher names the predecessor of each
message, the reader's position lives in its own database, and the broker only says where to look.
What it cannot do: keep what its disk loses (the relay sends it again).
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from stagepost.engine.batch import Cursor
from stagepost.engine.envelope import Envelope
from stagepost.engine.transports import Received, StreamId
from stagepost.engine.transports.cloudevents import MAX_INCARNATION, MAX_POSITION
from stagepost.engine.transports.nats_client import BlockClient
from stagepost.engine.transports.nats_envelope import (
    headers_of,
    read_envelope,
    subject_of,
    words_of,
)
from stagepost.errors import ForeignMessage, TransportUnavailable

ACK_SECONDS = 5.0
"""How long a publication may wait for its confirmation."""
ASK_SECONDS = 2.0
"""How long the broker may take to answer; about a stream that is not there it says nothing."""
PREFETCH = 512
"""Messages of one source that are asked for ahead of being taken."""
NO_MESSAGE = 10037
"""JetStream's error where a message is not there."""
AT_ONCE = 100
"""Stored messages that are asked for at the same time."""
PULL_SECONDS = 5
"""How long the broker keeps a request for messages open; then we look whether all is well."""

log = structlog.get_logger(__name__)


class NatsTransport:
    """The `Transport` port on one NATS connection, made when it is first needed, then kept up."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
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
        except TransportUnavailable:
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
                inbox_prefix=f"_INBOX_{self._name}".encode(),
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,  # type: ignore[arg-type]  # a float sleeps as well
                connect_timeout=3,
                pending_size=64 << 20,
                allow_reconnect=True,
                disconnected_cb=self._disconnected,
                error_cb=_failed,
            )
        except (OSError, TimeoutError, NatsError) as error:
            raise TransportUnavailable(f"cannot connect to the broker: {error}") from error
        return client

    async def _disconnected(self) -> None:
        self.lost.set()


async def _failed(error: Exception) -> None:
    # A refused publication is told here only; its sender sees a time-out.
    log.warning("broker", reason=str(error) or type(error).__name__)


class NatsPublisher:
    """The writer of one stream: each message names the one before it, one ack proves all."""

    def __init__(self, client: BlockClient, source: str) -> None:
        self._client = client
        self._source = source
        self._tail_sequence = 0
        self._stored = range(0)
        self._tail_id: str | None = None

    async def tail(self) -> StreamId | None:
        self._tail_id = None
        info = await ask(self._client, f"STREAM.INFO.{self._source}")
        state = info["state"]
        self._tail_sequence = state["last_seq"]
        if state["messages"] == 0:
            return None
        # Whatever somebody else has put behind it, the last of ours is what counts. A broker whose
        # files were damaged counts messages that it no longer has.
        last = await ask(
            self._client, f"STREAM.MSG.GET.{self._source}", {"last_by_subj": f"{self._source}.>"}
        )
        self._stored = range(max(state["first_seq"], 1), last["message"]["seq"] + 1)
        for sequence in reversed(self._stored):
            if (there := await self._ours(sequence)) is not None:
                return there
        return None

    async def after(self, position: int) -> list[StreamId]:
        found: list[StreamId] = []
        for last in range(len(self._stored), 0, -AT_ONCE):
            block = self._stored[max(last - AT_ONCE, 0) : last]
            for there in reversed(await asyncio.gather(*map(self._ours, block))):
                if there is not None and there.position <= position:
                    return found[::-1]
                if there is not None:
                    found.append(there)
        return found[::-1]

    async def _ours(self, sequence: int) -> StreamId | None:
        """Return which message is stored there; None where it is gone, or not one of ours."""
        try:
            there = await stored_message(self._client, self._source, sequence)
            return _stream_id(there, self._source)
        except _NoMessage:
            return None
        except ForeignMessage as error:
            log.warning("a foreign message", stream=self._source, reason=str(error))
            return None

    async def publish(self, messages: Sequence[Envelope]) -> None:
        if self._tail_id is None:
            messages = await self._publish_first(messages)
        if messages:
            await self._publish_chain(messages)

    async def _publish_first(self, messages: Sequence[Envelope]) -> Sequence[Envelope]:
        """Publish up to the first that is stored anew, and return the rest.

        Where somebody copied an old message of ours to the tail, we went back, and the broker has
        those behind it: it stores none of them again, and nothing could be chained to one.
        """
        for number, message in enumerate(messages, 1):
            stored = await self._publish_chain([message])
            if not stored.get("duplicate"):
                return messages[number:]
            there = await stored_message(self._client, self._source, stored["seq"])
            if there.get("ce-id") != str(message.id):
                raise ForeignMessage(
                    f"the stream of {self._source} has another message {message.position}"
                )
            self._tail_id = None
        return ()

    async def _publish_chain(self, messages: Sequence[Envelope]) -> dict[str, Any]:
        """Publish, each behind the one before it; return what the broker says about the last."""
        try:
            await self._client.publish_block(
                [(subject_of(m), self._chained(m), m.body) for m in messages[:-1]]
            )
            last = messages[-1]
            reply = await self._client.request(
                subject_of(last), last.body, timeout=ACK_SECONDS, headers=self._chained(last)
            )
        except (NatsError, OSError, TimeoutError) as error:
            raise TransportUnavailable(
                f"the broker did not confirm messages of {self._source}: {error!r}"
            ) from error
        answer: dict[str, Any] = json.loads(reply.data)
        if refused := answer.get("error"):
            raise ForeignMessage(
                f"the stream of {self._source} does not end as we left it: {refused['description']}"
            )
        return answer

    def _chained(self, message: Envelope) -> dict[str, str]:
        headers = headers_of(message)
        if self._tail_id is None:
            headers["Nats-Expected-Last-Sequence"] = str(self._tail_sequence)
        else:
            headers["Nats-Expected-Last-Msg-Id"] = self._tail_id
        self._tail_id = headers["Nats-Msg-Id"]
        return headers


class NatsSubscription:
    """The reader of several streams: pulls ahead a bounded number of messages of each."""

    def __init__(
        self, client: Client, reader: str, wake: Callable[[], None], lost: asyncio.Event
    ) -> None:
        self._client = client
        self._reader = reader
        self._wake = wake
        self._lost = lost
        self._pulls: list[_Pull] = []

    async def open(self, source: str, cursor: Cursor | None) -> None:
        """Begin to read one stream after a cursor."""
        first = await self._first(source, cursor)
        answer = await ask(self._client, f"CONSUMER.RESET.{source}.{self._reader}", {"seq": first})
        pull = _Pull(
            self._client,
            source,
            self._reader,
            pending=answer["num_pending"],
            wake=self._wake,
            lost=self._lost,
        )
        self._pulls.append(pull)
        await pull.start()

    async def _first(self, source: str, cursor: Cursor | None) -> int:
        """Where to begin: behind the hint, where the broker still has our last message there."""
        if cursor is None or cursor.hint == 0:
            return 1
        try:
            message = await stored_message(self._client, source, cursor.hint)
            known = _stream_id(message, source)[:2] == (cursor.id.incarnation, cursor.at)
        except (TransportUnavailable, ForeignMessage):
            known = False
        return cursor.hint + 1 if known else 1

    def take(self, limit: int) -> list[Received]:
        taken: list[Received] = []
        for pull in self._pulls:
            taken.extend(pull.take(limit - len(taken)))
        self._pulls = [*self._pulls[1:], *self._pulls[:1]]  # each is first in its turn
        return taken

    async def behind(self) -> bool:
        return any(pull.behind for pull in self._pulls)

    async def close(self) -> None:
        for pull in self._pulls:
            await pull.stop()


class _Pull:
    """One stream: keeps requests for messages open, and notices when one is missing."""

    def __init__(
        self,
        client: Client,
        source: str,
        reader: str,
        *,
        pending: int,
        wake: Callable[[], None],
        lost: asyncio.Event,
    ) -> None:
        self._client = client
        self._source = source
        self._reader = reader
        self._pending = pending
        self._wake = wake
        self._lost = lost
        self._arrived: deque[Msg] = deque()
        self._asked = 0
        self._taken = 0
        self._sequence = 0
        self._gap = False
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Event()

    @property
    def behind(self) -> bool:
        return self._taken < self._pending

    async def start(self) -> None:
        inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(
            inbox, cb=self._receive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._task = asyncio.create_task(self._ask_on(inbox))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        try:
            await self._subscription.unsubscribe()
        except NatsError:
            return  # the connection is gone, and the subscription with it

    def take(self, limit: int) -> list[Received]:
        taken: list[Received] = []
        while self._arrived and len(taken) < limit:
            self._taken += 1
            if (received := _received(self._arrived.popleft())) is not None:
                taken.append(received)
            self._room.set()
        return taken

    async def _receive(self, message: Msg) -> None:
        if not message.reply.startswith("$JS.ACK."):
            self._asked = 0  # a status: the request has ended
            self._room.set()
            return
        if self._gap:
            return
        sequence = int(message.reply.split(".")[-3])
        if sequence != self._sequence + 1:
            # Nothing behind the gap may be taken: the cursor would move past what is missing.
            log.warning(
                "delivery skipped", source=self._source, expected=self._sequence + 1, got=sequence
            )
            self._gap = True
            self._lost.set()
            return
        self._sequence = sequence
        self._asked = max(0, self._asked - 1)
        self._arrived.append(message)
        self._wake()

    async def _ask_on(self, inbox: str) -> None:
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._source}.{self._reader}"
        while True:
            self._room.clear()
            room = PREFETCH - self._asked - len(self._arrived)
            if room >= PREFETCH // 2:
                self._asked += room
                body = json.dumps({"batch": room, "expires": PULL_SECONDS * 1_000_000_000})
                await self._client.publish(subject, body.encode(), reply=inbox)
            try:
                async with asyncio.timeout(PULL_SECONDS + 2):
                    await self._room.wait()
            except TimeoutError:
                self._asked = 0  # the broker has forgotten us: ask again
            if self._asked == 0:
                await self._look()

    async def _look(self) -> None:
        """Make sure that nobody else was given what is ours: an instance that was paused."""
        before = self._sequence
        try:
            info = await ask(self._client, f"CONSUMER.INFO.{self._source}.{self._reader}")
        except TransportUnavailable as error:
            log.warning("consumer not seen", source=self._source, reason=str(error))
            self._lost.set()
            return
        if info["delivered"]["consumer_seq"] > before and self._sequence == before:
            log.warning("somebody else was given our messages", source=self._source)
            self._lost.set()


def _received(message: Msg) -> Received | None:
    try:
        envelope = read_envelope(message.subject, message.headers or {}, message.data)
    except (KeyError, ValueError, IndexError) as error:
        log.warning("not one of our messages", subject=message.subject, reason=repr(error))
        return None
    return Received(envelope, int(message.reply.split(".")[-4]))


async def ask(client: Client, call: str, body: object = None) -> dict[str, Any]:
    """Ask JetStream's API.

    Raises:
        TransportUnavailable: no answer, or an error (its description is in the message).
    """
    payload = b"" if body is None else json.dumps(body).encode()
    try:
        reply = await client.request(f"$JS.API.{call}", payload, timeout=ASK_SECONDS)
    except (NatsError, OSError, TimeoutError) as error:
        raise TransportUnavailable(f"JetStream does not answer {call}: {error!r}") from error
    answer: dict[str, Any] = json.loads(reply.data)
    if refused := answer.get("error"):
        kind = _NoMessage if refused.get("err_code") == NO_MESSAGE else TransportUnavailable
        raise kind(f"JetStream refuses {call}: {refused}")
    return answer


class _NoMessage(TransportUnavailable):
    """There is no such message, or no longer."""


async def stored_message(client: Client, stream: str, sequence: int) -> Mapping[str, str]:
    """Return the headers of a stored message."""
    answer = await ask(client, f"STREAM.MSG.GET.{stream}", {"seq": sequence})
    raw = base64.b64decode(answer["message"].get("hdrs", "")).decode()
    lines = (line.partition(":") for line in raw.splitlines()[1:] if line)
    return {name: value.strip() for name, _, value in lines}


def _stream_id(headers: Mapping[str, str], source: str) -> StreamId:
    owner, _, rest = headers.get("Nats-Msg-Id", "").partition(":")
    incarnation, _, position = rest.partition(":")
    if owner != source or not (incarnation.isdecimal() and position.isdecimal()):
        raise ForeignMessage(f"the stream of {source} has a message that {source} did not write")
    name = StreamId(int(incarnation), int(position), _uuid(headers.get("ce-id", "")))
    if name.incarnation >= MAX_INCARNATION or name.position >= MAX_POSITION:
        raise ForeignMessage(f"the stream of {source} has a message that no outbox ever held")
    return name


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise ForeignMessage(f"{text!r} is not the id of a message") from error
