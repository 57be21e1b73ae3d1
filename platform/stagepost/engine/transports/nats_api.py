"""What JetStream is asked, and which of our messages it has stored where."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from stagepost.engine.transports import StreamId
from stagepost.engine.transports.cloudevents import MAX_INCARNATION, MAX_POSITION
from stagepost.errors import ForeignMessage, TransportUnavailable

OWN_API = "$JS.API"
"""What JetStream's API is called in the account that has the streams."""
API = "STREAMS.API"
"""What it is called in everybody's account: its own name there means one without streams."""
ASK_SECONDS = 2.0
"""How long the broker may take to answer; about a stream that is not there it says nothing."""
NO_MESSAGE = 10037
"""JetStream's error where a message is not there."""


class NoMessage(TransportUnavailable):
    """There is no such message, or no longer."""


async def ask(client: Client, call: str, body: object = None) -> dict[str, Any]:
    """Ask JetStream's API.

    Raises:
        TransportUnavailable: no answer, or an error (its description is in the message).
    """
    payload = b"" if body is None else json.dumps(body).encode()
    try:
        reply = await client.request(f"{API}.{call}", payload, timeout=ASK_SECONDS)
    except (NatsError, OSError, TimeoutError) as error:
        raise TransportUnavailable(f"JetStream does not answer {call}: {error!r}") from error
    answer: dict[str, Any] = json.loads(reply.data)
    if refused := answer.get("error"):
        kind = NoMessage if refused.get("err_code") == NO_MESSAGE else TransportUnavailable
        raise kind(f"JetStream refuses {call}: {refused}")
    return answer


async def reset(client: Client, stream: str, reader: str, sequence: int) -> dict[str, Any]:
    """Have a reader's consumer begin with this message, or with the next that is for it."""
    return await ask(client, f"CONSUMER.RESET.{stream}.{reader}", {"seq": sequence})


def next_of(stream: str, reader: str) -> str:
    """Return the subject at which a reader's consumer is asked for its next messages."""
    return f"{API}.CONSUMER.MSG.NEXT.{stream}.{reader}"


async def message_at(client: Client, stream: str, reader: str, sequence: int) -> Msg:
    """Return what a reader's consumer is given there: this message, or the next that is for it.

    To get any message by its number is for none but who wrote it.

    Raises:
        NoMessage: there is none for it from there on.
        TransportUnavailable
    """
    await reset(client, stream, reader, sequence)
    subject = next_of(stream, reader)
    try:
        # A message comes under its own subject: only an inbox of its own can tell what it is.
        message = await client.request(
            subject, b'{"no_wait": true}', timeout=ASK_SECONDS, old_style=True
        )
    except (NatsError, OSError, TimeoutError) as error:
        raise TransportUnavailable(f"the broker gives us nothing: {error!r}") from error
    if not message.reply.startswith("$JS.ACK."):
        raise NoMessage(f"the broker has nothing for {reader} in {stream} from {sequence} on")
    return message


async def stored_message(client: Client, stream: str, sequence: int) -> Mapping[str, str]:
    """Return the headers of a stored message of a stream that is our own.

    Raises:
        ForeignMessage: somebody who may not publish here had it delivered here. It keeps its
            subject then, and whatever its headers say is theirs.
        NoMessage: it is not there.
        TransportUnavailable
    """
    answer = await ask(client, f"STREAM.MSG.GET.{stream}", {"seq": sequence})
    if not answer["message"]["subject"].startswith(f"{stream}."):
        raise ForeignMessage(f"the stream of {stream} has a message that {stream} did not write")
    raw = base64.b64decode(answer["message"].get("hdrs", "")).decode()
    lines = (line.partition(":") for line in raw.splitlines()[1:] if line)
    return {name: value.strip() for name, _, value in lines}


def stream_id_of(headers: Mapping[str, str], source: str) -> StreamId:
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
