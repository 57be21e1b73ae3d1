"""How a message looks on each wire: what its envelope says, and an example with all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from stagepost.engine.contracts.schema import JsonSchema
from stagepost.engine.contracts.ways import Channel
from stagepost.engine.envelope import Envelope
from stagepost.engine.external import EXTERNAL, source_of
from stagepost.engine.transport_names import HTTP, KAFKA, NATS
from stagepost.engine.transports import http_envelope, kafka_envelope, nats_envelope
from stagepost.engine.transports.kafka_envelope import Trail
from stagepost.errors import BadSettings
from stagepost.messages import Command, Message, encode, example

FEED = "feed"
OUTSIDE = "outside"

PREFIXES = {NATS: "ce-", OUTSIDE: "ce-", KAFKA: "ce_", HTTP: "ce-", FEED: ""}
"""The wires, and what stands before the names of CloudEvents attributes on them."""


def wire_of(channel: Channel) -> str:
    """Return the wire of a channel: its transport's, or that of a batch, or from outside."""
    if channel.service == EXTERNAL:
        return OUTSIDE
    return FEED if channel.name.endswith(f".{FEED}") else channel.transport


def envelope_on(wire: str) -> JsonSchema:
    """Return the schema of what every message says on a wire beside its body.

    These are headers; in a batch, what stands around the body.
    """
    prefix = PREFIXES[wire]
    attributes, optional = _SAID[wire]
    said = {f"{prefix}{name}": schema for name, schema in attributes.items()} | _OWN[wire]
    left_out = {*(f"{prefix}{name}" for name in optional), _PREVIOUS}
    required = [name for name in said if name not in left_out]
    return {"type": "object", "required": required, "properties": said}


def envelope_of(message: type[Message], wire: str) -> JsonSchema:
    """Return the schema of what only this type of message says there."""
    prefix = PREFIXES[wire]
    said = {"type": message.TYPE, "version": str(message.VERSION)}
    if wire != OUTSIDE:
        said["kind"] = message.KIND.value
    properties = {f"{prefix}{name}": {"const": value} for name, value in said.items()}
    if not issubclass(message, Command) or wire in {NATS, OUTSIDE}:  # there the subject names it
        return {"properties": properties}
    recipient = f"{prefix}recipient"
    return {
        "required": [recipient],
        "properties": properties | {recipient: {"const": message.OWNER}},
    }


class Example(NamedTuple):
    """A message as it is written on a wire; a batch has no headers."""

    headers: Mapping[str, object]
    payload: object


def example_on(wire: str, message: type[Message], source: str) -> Example:
    """Return an example as it is written on a wire, on its way from a service.

    Raises:
        BadSettings: the message has none.
    """
    envelope = _example(message, source)
    if wire == FEED:
        return Example({}, orjson.loads(http_envelope.write_batch([envelope])))
    return Example(_headers(wire, envelope), orjson.loads(envelope.body))


def _headers(wire: str, envelope: Envelope) -> Mapping[str, object]:
    if wire == NATS:
        return nats_envelope.headers_of(envelope)
    if wire == OUTSIDE:
        headers = nats_envelope.headers_of(replace(envelope, source=source_of(envelope.source)))
        return {name: headers[name] for name in map(PREFIXES[wire].__add__, _SAID[wire][0])}
    if wire == KAFKA:
        return kafka_envelope.headers_of(envelope, Trail())
    return http_envelope.write_binary(envelope)


def _example(message: type[Message], source: str) -> Envelope:
    is_command = issubclass(message, Command)
    try:
        body = example(message, caller=source) if is_command else example(message)
    except (TypeError, ValueError) as error:
        raise BadSettings(f"{message.TYPE} has no example that fits: {error}") from error
    return Envelope(
        id=UUID("0197a3c2-8f50-7c11-9d5e-0d3a7b1f4a63"),
        type=message.TYPE,
        version=message.VERSION,
        kind=message.KIND,
        source=source,
        key=body.key,
        correlation=UUID("0197a3c2-8f50-7c11-9d5e-0d3a7b1f4a61"),
        causation=UUID("0197a3c2-8f50-7c11-9d5e-0d3a7b1f4a62"),
        body=encode(body),
        recipient=message.OWNER if is_command else None,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        incarnation=1,
        position=4711,
        time=datetime(2026, 11, 20, 10, tzinfo=UTC),
    )


def _text(description: str, **more: object) -> JsonSchema:
    return {"type": "string", "description": description, **more}


_NUMBER = "^[1-9][0-9]*$"
_ATTRIBUTES = {
    "specversion": _text("Of CloudEvents.", const="1.0"),
    "id": _text("Whoever hears a message again knows it by its id.", format="uuid"),
    "type": _text("Whose message it is, and which."),
    "source": _text("Who sent it."),
    "subject": _text("The key: messages of one key are handled in the order they were sent in."),
    "version": _text("Of the type.", pattern=_NUMBER),
    "kind": _text("What it means.", enum=["command", "event"]),
    "correlationid": _text("The id of what it all began with.", format="uuid"),
    "causationid": _text("The id of the message that caused this one.", format="uuid"),
    "time": _text("When it was stored to be sent.", format="date-time"),
    "traceparent": _text("W3C trace context."),
}
_PLACE = {
    "incarnation": _text("Which life of the sender's database it is from.", pattern=_NUMBER),
    "position": _text("Where it stands in the sender's outbox.", pattern=_NUMBER),
    "recipient": _text("Whom a command is for."),
}
_LEFT_OUT = ("causationid", "time", "traceparent", "recipient")
_IN_SHORT = ("specversion", "type", "source")
_SAID = {
    NATS: (_ATTRIBUTES, _LEFT_OUT),
    OUTSIDE: ({name: _ATTRIBUTES[name] for name in ("id", "version", *_IN_SHORT)}, _IN_SHORT),
    KAFKA: (_ATTRIBUTES | _PLACE, _LEFT_OUT),
    HTTP: (_ATTRIBUTES | _PLACE, _LEFT_OUT),
    FEED: (_ATTRIBUTES | _PLACE, _LEFT_OUT),
}
"""What is said on each wire, and what of it may be left out."""

_PREVIOUS = "ce_previous"
_JSON = {"content-type": _text("Of the body.", const=http_envelope.JSON)}
_OWN: dict[str, dict[str, JsonSchema]] = {
    NATS: _JSON
    | {
        "Nats-Msg-Id": _text(
            "source:incarnation:position: where it stands in the sender's outbox, in which life of"
            " its database.",
            pattern="^[^:]+:[1-9][0-9]*:[1-9][0-9]*$",
        )
    },
    KAFKA: _JSON
    | {
        _PREVIOUS: _text(
            "Where the last message of each type stands on this topic, the youngest first:"
            " type=incarnation.position.",
        )
    },
    HTTP: _JSON,
    OUTSIDE: {},
    FEED: {"datacontenttype": _text("Of the body.", const=http_envelope.JSON)},
}
