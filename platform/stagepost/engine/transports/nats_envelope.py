"""The envelope on NATS: CloudEvents 1.0 in its NATS binding, binary mode (headers `ce-...`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from stagepost.engine.ids import read_id
from stagepost.engine.store import Envelope
from stagepost.messages import MAX_BIGINT

_MAX_INT = 2**31 - 1
_MAX_TEXT = 1000


def subject_of(message: Envelope) -> str:
    """Return the subject: `<source>.event.<Type>` or `<source>.command.<recipient>.<Type>`."""
    name = message.type.rpartition(".")[2]
    if message.recipient is not None:
        return f"{message.source}.command.{message.recipient}.{name}"
    return f"{message.source}.event.{name}"


def words_of(service: str) -> str:
    """Return the subject on which the instances of a service tell each other things; not stored."""
    return f"_WORDS.{service}"


def headers_of(message: Envelope) -> dict[str, str]:
    """Write the envelope as CloudEvents attributes in the NATS binding's headers."""
    headers = {
        "Nats-Msg-Id": f"{message.source}:{message.incarnation}:{message.position}",
        "ce-specversion": "1.0",
        "ce-id": str(message.id),
        "ce-type": message.type,
        "ce-source": message.source,
        "ce-subject": message.key,
        "ce-version": str(message.version),
        "ce-kind": message.kind,
        "ce-correlationid": str(message.correlation),
        "content-type": "application/json",
    }
    if message.causation is not None:
        headers["ce-causationid"] = str(message.causation)
    if message.time is not None:
        headers["ce-time"] = message.time.astimezone(UTC).isoformat()
    if message.traceparent is not None:
        headers["ce-traceparent"] = message.traceparent
    return headers


def read_envelope(subject: str, headers: Mapping[str, str], body: bytes) -> Envelope:
    """Read what `headers_of` wrote. The source is the stream's, as the subject says.

    What no service writes could not be stored, not even as a dead letter, or would be taken for
    what it is not: a timer, another's answer.

    Raises:
        KeyError, ValueError, IndexError: it is not one of our messages.
    """
    parts = subject.split(".")
    source, incarnation, position = headers["Nats-Msg-Id"].split(":")
    causation = headers.get("ce-causationid")
    time = headers.get("ce-time")
    trace = headers.get("ce-traceparent")
    kind, name = headers["ce-kind"], f"{parts[-2]}.{parts[-1]}"
    if parts[1] == "event":
        name = f"{parts[0]}.{parts[-1]}"
    if source != parts[0] or headers["ce-type"] != name or kind != parts[1]:
        raise ValueError(f"{headers['ce-type']!r} from {source!r} is not what the subject says")
    return Envelope(
        id=read_id(headers["ce-id"]),
        type=name,
        version=_number(headers["ce-version"], _MAX_INT),
        kind=kind,
        source=parts[0],
        key=_text(headers["ce-subject"]),
        correlation=read_id(headers["ce-correlationid"]),
        causation=read_id(causation) if causation else None,
        body=body,
        recipient=parts[2] if parts[1] == "command" else None,
        traceparent=None if trace is None else _text(trace),
        incarnation=_number(incarnation, _MAX_INT),
        position=_number(position, MAX_BIGINT),
        time=datetime.fromisoformat(time) if time else None,
    )


def _number(text: str, most: int) -> int:
    number = int(text)
    if not 1 <= number <= most:
        raise ValueError(f"{text!r} is not from 1 to {most}")
    return number


def _text(text: str) -> str:
    if not 1 <= len(text) <= _MAX_TEXT or "\x00" in text:
        raise ValueError("a text is empty, too long, or has a character that nobody stores")
    return text
