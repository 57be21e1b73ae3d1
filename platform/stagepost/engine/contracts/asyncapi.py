"""The AsyncAPI 3.1 document of a service: what it sends and receives, and on which channels.

Schemas are those of the messages' own classes, addresses follow from the links, and examples are
written by what writes the real messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import getdoc

import orjson

from stagepost import __version__
from stagepost.engine.contracts.schema import JsonSchema, kind_of, schema_of
from stagepost.engine.contracts.ways import Channel, Way, replies_to, ways_of
from stagepost.engine.contracts.wires import (
    FEED,
    OUTSIDE,
    PREFIXES,
    envelope_of,
    envelope_on,
    example_on,
    wire_of,
)
from stagepost.engine.flow import Flow
from stagepost.engine.service import Service
from stagepost.engine.transport_names import HTTP, KAFKA, NATS
from stagepost.engine.transports.http_envelope import BATCH, JSON
from stagepost.messages import Command, Message

_BROKERS = {
    NATS: "The broker; it asks for a user and a password. A service is told in STAGEPOST_NATS_URL"
    " where it is.",
    KAFKA: "The broker. A service is told in the file STAGEPOST_KAFKA where it is.",
}
_POSTED = (
    "It is posted until it is answered: 200 with the answer, 202 where there is none yet,"
    " 410 where there will be none."
)


def describe(service: Service, flow: Flow) -> JsonSchema:
    """Write the document of a service's own part in a flow.

    Raises:
        BadSettings: a link is said to be there that is not, or a message has no example.
    """
    ways = ways_of(service, flow)
    channels = {way.channel.name: way.channel for way in ways}
    ports = {each.name: each.port for each in (*flow.services.values(), service)}
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": service.name,
            "version": __version__,
            "description": service.about,
        },
        "defaultContentType": JSON,
        "servers": {_server_of(each): _server(each, ports) for each in channels.values()},
        "channels": {
            name: _channel(each, [way for way in ways if way.channel == each])
            for name, each in channels.items()
        },
        "operations": {_name(way): _operation(way, ways) for way in ways if not way.is_asked},
        "components": {
            "messages": {_component(way): _message(way, service.name) for way in ways},
            "schemas": {
                **{
                    f"envelope.{wire_of(each)}": envelope_on(wire_of(each))
                    for each in channels.values()
                },
                **{way.message.TYPE: _payload(way.message) for way in ways},
            },
        },
    }


def _server_of(channel: Channel) -> str:
    return channel.service if channel.transport == HTTP else channel.transport


def _server(channel: Channel, ports: Mapping[str, int]) -> JsonSchema:
    """Describe what a channel is on: where it is differs from stack to stack."""
    said: JsonSchema = {"description": _BROKERS.get(channel.transport, "The service itself.")}
    if channel.transport == HTTP:
        said["default"] = f"127.0.0.1:{ports[channel.service]}"
    return {"host": "{address}", "protocol": channel.transport, "variables": {"address": said}}


def _channel(channel: Channel, ways: Sequence[Way]) -> JsonSchema:
    wire = wire_of(channel)
    messages = sorted({way.message for way in ways}, key=lambda message: message.TYPE)
    said: JsonSchema = {
        "address": channel.address,
        "servers": [_ref("servers", _server_of(channel))],
        "messages": {
            message.TYPE: _ref("components", "messages", f"{message.TYPE}.{wire}")
            for message in messages
        },
    }
    if channel.transport == NATS:
        said["parameters"] = _parameters(wire, ways)
    if wire in {KAFKA, FEED}:
        said["description"] = "Others' messages lie here too: these are the ones to read."
    if wire == KAFKA:
        said["bindings"] = {KAFKA: {"topic": channel.address, "partitions": 1}}
    return said


def _parameters(wire: str, ways: Sequence[Way]) -> JsonSchema:
    names = sorted({way.message.__name__ for way in ways})
    said: JsonSchema = {"type": {"enum": names, "description": "Which message it is."}}
    if wire == OUTSIDE:
        senders = list(dict.fromkeys(other for way in ways for other in way.others))
        said["sender"] = {"enum": senders, "description": "Who sends it, from outside."}
    return said


def _name(way: Way) -> str:
    action = "send" if way.is_out else "receive"
    return f"{action}.{way.message.TYPE}.{way.channel.transport}.{way.channel.service}"


def _operation(way: Way, ways: Sequence[Way]) -> JsonSchema:
    others = ", ".join(way.others) or "nobody in this flow"
    said: JsonSchema = {
        "action": "send" if way.is_out else "receive",
        "title": way.message.__name__,
        "summary": f"To {others}." if way.is_out else f"From {others}.",
        "channel": _ref("channels", way.channel.name),
        "messages": [_in_channel(way)],
        "x-recipients" if way.is_out else "x-senders": list(way.others),
    }
    if way.channel.transport == HTTP:
        is_posted = issubclass(way.message, Command)
        said["bindings"] = {HTTP: {"method": "POST" if is_posted else "GET"}}
        if is_posted:
            said["description"] = _POSTED
    if replies := replies_to(way, ways):
        said["reply"] = {
            "channel": _ref("channels", replies[0].channel.name),
            "messages": [_in_channel(each) for each in replies],
        }
    return said


def _in_channel(way: Way) -> JsonSchema:
    return _ref("channels", way.channel.name, "messages", way.message.TYPE)


def _component(way: Way) -> str:
    return f"{way.message.TYPE}.{wire_of(way.channel)}"


def _message(way: Way, me: str) -> JsonSchema:
    message, wire = way.message, wire_of(way.channel)
    summary, _, rest = (getdoc(message) or "").partition("\n")
    envelope = _ref("components", "schemas", f"envelope.{wire}")
    body, own = _ref("components", "schemas", message.TYPE), envelope_of(message, wire)
    headers, payload = example_on(wire, message, me if way.is_out else way.others[0])
    said: JsonSchema = {
        "name": message.TYPE,
        "title": message.__name__,
        "summary": summary,
        **({"description": rest.strip()} if rest else {}),
        "tags": [{"name": kind_of(message)}],
        "examples": [{**({"headers": headers} if headers else {}), "payload": payload}],
    }
    if wire == FEED:
        event = {"allOf": [envelope, own, {"required": ["data"], "properties": {"data": body}}]}
        return said | {"contentType": BATCH, "payload": {"type": "array", "items": event}}
    if wire == KAFKA:
        said["bindings"] = {KAFKA: {"key": {"type": "string", "description": message.KEY}}}
    return said | {
        "contentType": JSON,
        "headers": {"allOf": [envelope, own]},
        "payload": body,
        "correlationId": {"location": f"$message.header#/{_correlation(wire)}"},
    }


def _correlation(wire: str) -> str:
    """Return the header that stays the same in all that comes of a message."""
    return f"{PREFIXES[wire]}{'id' if wire == OUTSIDE else 'correlationid'}"


def _payload(message: type[Message]) -> JsonSchema:
    """Return the schema of a body, as a part of a document."""
    schema = schema_of(message)
    del schema["$schema"]  # what stands in an AsyncAPI document is of its own dialect
    text = orjson.dumps(schema).replace(
        b'"#/$defs/', f'"#/components/schemas/{message.TYPE}/$defs/'.encode()
    )
    part: JsonSchema = orjson.loads(text)
    return part


def _ref(*path: str) -> JsonSchema:
    return {"$ref": "/".join(("#", *path))}
