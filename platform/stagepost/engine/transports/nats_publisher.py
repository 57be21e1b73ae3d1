"""Publishing on NATS: the one writer of a source's stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import structlog
from nats.errors import Error as NatsError

from stagepost.engine.envelope import Envelope
from stagepost.engine.transports import StreamId
from stagepost.engine.transports.nats_api import NoMessage, ask, stored_message, stream_id_of
from stagepost.engine.transports.nats_client import BlockClient
from stagepost.engine.transports.nats_envelope import headers_of, subject_of
from stagepost.errors import ForeignMessage, TransportUnavailable

ACK_SECONDS = 5.0
"""How long a publication may wait for its confirmation."""
AT_ONCE = 100
"""Stored messages that are asked for at the same time."""

log = structlog.get_logger(__name__)


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
            return stream_id_of(there, self._source)
        except NoMessage:
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
