"""The envelope on HTTP: CloudEvents 1.0 in its HTTP binding, one in binary mode, many as a batch.

What cannot be read raises KeyError or ValueError: no service wrote it. In a batch the events around
a broken one are read, and it is logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import orjson
import structlog

from stagepost.engine.envelope import Envelope
from stagepost.engine.transports.cloudevents import Binding

JSON = "application/json"
BATCH = "application/cloudevents-batch+json"
_BINARY = Binding("ce-", encoded=True)
_JSON = Binding("", encoded=False)

log = structlog.get_logger(__name__)


def write_binary(message: Envelope) -> dict[str, str]:
    """Write the envelope as headers; the body is the message's own."""
    return {"content-type": JSON, **_BINARY.write(message), **_BINARY.place(message)}


def read_binary(headers: Mapping[str, str], body: bytes) -> Envelope:
    """Read what `write_binary` wrote. Names are in lower case, or `headers` asks for no case.

    Raises:
        KeyError, ValueError: it is not one of our messages.
    """
    if (media_type := headers["content-type"].partition(";")[0].strip().lower()) != JSON:
        raise ValueError(f"a body of {media_type!r}, not of {JSON!r}")
    if (version := headers["ce-specversion"]) != "1.0":
        raise ValueError(f"CloudEvents {version!r}, not '1.0'")
    return _BINARY.read(headers, body)


def write_batch(messages: Sequence[Envelope]) -> bytes:
    """Write messages as a batch; each body, which is JSON, goes into it as it is."""
    return orjson.dumps([_event(message) for message in messages])


def _event(message: Envelope) -> dict[str, Any]:
    return {
        **_JSON.write(message),
        **_JSON.place(message),
        "datacontenttype": JSON,
        "data": orjson.Fragment(message.body),
    }


def read_batch(batch: bytes) -> list[Envelope]:
    """Read what `write_batch` wrote; every body is, byte for byte, as it was.

    An event that is not one of our messages is left out and logged.

    Raises:
        ValueError: it is no batch: cut off, or no JSON array.
    """
    try:
        events = _BATCH.decode(batch)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a batch of events: {error}") from error
    messages = []
    for number, event in enumerate(events, 1):
        try:
            messages.append(_read(event))
        except (KeyError, ValueError) as error:
            log.warning(
                "not one of our messages", number=number, of=len(events), reason=repr(error)
            )
    return messages


class _Event(msgspec.Struct):
    """An event of a batch: our attributes, all of them text, and the body as it stands there."""

    specversion: Literal["1.0"]
    id: str
    type: str
    source: str
    subject: str
    version: str
    kind: str
    correlationid: str
    incarnation: str
    position: str
    datacontenttype: Literal["application/json"]
    data: msgspec.Raw
    causationid: str | None = None
    time: str | None = None
    traceparent: str | None = None
    recipient: str | None = None


_BATCH = msgspec.json.Decoder(list[msgspec.Raw])
_EVENT = msgspec.json.Decoder(_Event)


def _read(raw: msgspec.Raw) -> Envelope:
    attributes = msgspec.structs.asdict(_EVENT.decode(raw))
    return _JSON.read(attributes, bytes(attributes.pop("data")))
