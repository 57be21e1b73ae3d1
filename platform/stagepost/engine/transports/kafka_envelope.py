"""The envelope on Kafka: CloudEvents 1.0 in its Kafka binding, binary mode (headers `ce_...`).

The record's key is the message's, its topic the source. One attribute is Kafka's alone: brokers
there throw old messages away, and a reader who was away for long must see that some are missing.
So every message says in `previous` where on its topic the last one of each type stands, the
youngest first: `payments.PaymentReceived=1.17 payments.PaymentDeclined=1.9` (incarnation.position).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stagepost.engine.envelope import Envelope, Place
from stagepost.engine.transports.cloudevents import MAX_INCARNATION, MAX_POSITION, Binding

_BINDING = Binding("ce_", encoded=False)
_PREVIOUS = "ce_previous"
_MAX_PREVIOUS = 50_000

Headers = dict[str, str | bytes | None]
Pairs = list[tuple[str, str | bytes | None]]
"""What confluent-kafka takes for a record's headers, and what it gives."""


class Trail:
    """The places of the last messages of each type on a topic.

    Raises:
        ValueError: what was written is no trail.
    """

    def __init__(self, written: str = "") -> None:
        self._entries = {_entry(entry)[0]: entry for entry in reversed(_entries(written))}

    def __str__(self) -> str:
        return " ".join(reversed(self._entries.values()))

    def add(self, message: Envelope) -> None:
        """Note that this message was published."""
        self._entries.pop(message.type, None)
        self._entries[message.type] = f"{message.type}={message.incarnation}.{message.position}"


def headers_of(message: Envelope, trail: Trail) -> Headers:
    """Write the envelope as CloudEvents attributes in the Kafka binding's headers."""
    headers: Headers = {
        "content-type": "application/json",
        **_BINDING.write(message),
        **_BINDING.place(message),
    }
    if previous := str(trail):
        headers[_PREVIOUS] = previous
    return headers


def attributes_of(headers: Headers | Pairs | None) -> dict[str, str]:
    """Return the headers of a record as text.

    Raises:
        ValueError: one is no text.
    """
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    return {name: value.decode() for name, value in pairs if isinstance(value, bytes)}


def read_envelope(topic: str, attributes: Mapping[str, str], body: bytes | None) -> Envelope:
    """Read what `headers_of` wrote. The source is the topic.

    Raises:
        KeyError, ValueError: it is not one of our messages.
    """
    if body is None:
        raise ValueError("a message without a body")
    message = _BINDING.read(attributes, body)
    owner = message.type.rpartition(".")[0]
    if message.source != topic or owner != (message.recipient or topic):
        raise ValueError(f"{message.type!r} from {message.source!r} is not what the topic says")
    return message


def read_place(topic: str, attributes: Mapping[str, str]) -> tuple[Place, str]:
    """Return where a message stands, and its type.

    Raises:
        KeyError, ValueError: it is not one of our messages.
    """
    if attributes["ce_source"] != topic:
        raise ValueError(f"a message from {attributes['ce_source']!r}")
    place = Place(int(attributes["ce_incarnation"]), int(attributes["ce_position"]))
    if place.incarnation > MAX_INCARNATION or place.position > MAX_POSITION:
        raise ValueError(f"a message at {place}")
    return place, attributes["ce_type"]


def read_trail(attributes: Mapping[str, str]) -> str:
    """Return what a message says of those before it, empty where it was the first on its topic."""
    return attributes.get(_PREVIOUS, "")


def last_missed(trail: str, types: Collection[str], seen: Place) -> str | None:
    """Return which message of these types, later than what was seen, went before; None: none did.

    Raises:
        ValueError: it is no trail.
    """
    if not trail or _entry(trail.partition(" ")[0])[1] <= seen:
        return None
    for entry in _entries(trail):
        type_, place = _entry(entry)
        if place > seen and type_ in types:
            return f"{type_} {place.position}"
    return None


def _entries(trail: str) -> list[str]:
    if len(trail) > _MAX_PREVIOUS:
        raise ValueError("a trail of more types than anybody has")
    return trail.split()


def _entry(entry: str) -> tuple[str, Place]:
    type_, _, place = entry.rpartition("=")
    incarnation, _, position = place.partition(".")
    return type_, Place(int(incarnation), int(position))
