"""The envelope on NATS: CloudEvents 1.0 in its NATS binding, binary mode (headers `ce-...`)."""

from __future__ import annotations

from collections.abc import Mapping

from stagepost.engine.envelope import Envelope
from stagepost.engine.transports.cloudevents import Binding

_BINDING = Binding("ce-", encoded=True)


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
    return {
        "Nats-Msg-Id": f"{message.source}:{message.incarnation}:{message.position}",
        "content-type": "application/json",
        **_BINDING.write(message),
    }


def read_envelope(subject: str, headers: Mapping[str, str], body: bytes) -> Envelope:
    """Read what `headers_of` wrote. The source is the stream's, as the subject says.

    Raises:
        KeyError, ValueError, IndexError: it is not one of our messages.
    """
    parts = subject.split(".")
    recipient = parts[2] if parts[1] == "command" else None
    source, incarnation, position = headers["Nats-Msg-Id"].split(":")
    message = _BINDING.read_at(
        headers, body, incarnation=incarnation, position=position, recipient=recipient
    )
    if (
        (source, message.source) != (parts[0], parts[0])
        or message.type != f"{recipient or source}.{parts[-1]}"
        or message.kind != parts[1]
    ):
        raise ValueError(f"{message.type!r} from {source!r} is not what the subject says")
    return message
