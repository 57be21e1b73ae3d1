"""The envelope as CloudEvents 1.0 attributes, the same in every protocol's binding.

What CloudEvents has no attribute for is an extension of ours: version, kind, recipient,
correlationid, causationid, and where the message stands in its source's outbox (incarnation,
position).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from stagepost.engine.envelope import Envelope
from stagepost.engine.ids import read_id
from stagepost.messages import Kind

_MAX_INT = MAX_INCARNATION = 2**31 - 1
MAX_POSITION = 2**53
"""No outbox comes that far; a forgery that did would leave nothing above it to go on with."""
_MAX_TEXT = 1000
_KINDS = frozenset({Kind.COMMAND, Kind.EVENT})


class Binding:
    """Attributes under a protocol's prefix: `ce-` for HTTP and NATS, `ce_` for Kafka, none in JSON.

    Headers of HTTP and NATS carry printable ASCII only: there values are percent-encoded.
    """

    def __init__(self, prefix: str, *, encoded: bool) -> None:
        self._encoded = encoded
        self._specversion = prefix + "specversion"
        self._id = prefix + "id"
        self._type = prefix + "type"
        self._source = prefix + "source"
        self._subject = prefix + "subject"
        self._time = prefix + "time"
        self._version = prefix + "version"
        self._kind = prefix + "kind"
        self._correlation = prefix + "correlationid"
        self._causation = prefix + "causationid"
        self._trace = prefix + "traceparent"
        self._recipient = prefix + "recipient"
        self._incarnation = prefix + "incarnation"
        self._position = prefix + "position"

    def write(self, message: Envelope) -> dict[str, str]:
        """Return the attributes; where a message stands and who gets it is left to `place`."""
        attributes = {
            self._specversion: "1.0",
            self._id: str(message.id),
            self._type: message.type,
            self._source: message.source,
            self._subject: self._quoted(message.key),
            self._version: str(message.version),
            self._kind: message.kind,
            self._correlation: str(message.correlation),
        }
        if message.causation is not None:
            attributes[self._causation] = str(message.causation)
        if message.time is not None:
            attributes[self._time] = message.time.astimezone(UTC).isoformat()
        if message.traceparent is not None:
            attributes[self._trace] = self._quoted(message.traceparent)
        return attributes

    def place(self, message: Envelope) -> dict[str, str]:
        """Return who gets a message and where it stands, for protocols that say it nowhere else."""
        attributes = {
            self._incarnation: str(message.incarnation),
            self._position: str(message.position),
        }
        if message.recipient is not None:
            attributes[self._recipient] = message.recipient
        return attributes

    def read(self, attributes: Mapping[str, str], body: bytes) -> Envelope:
        """Read what `write` and `place` wrote.

        What no service writes could not be stored, not even as a dead letter, or would be taken
        for what it is not: a timer, a command without a recipient.

        Raises:
            KeyError, ValueError: it is not one of our messages.
        """
        return self.read_at(
            attributes,
            body,
            incarnation=attributes[self._incarnation],
            position=attributes[self._position],
            recipient=attributes.get(self._recipient),
        )

    def read_at(
        self,
        attributes: Mapping[str, str],
        body: bytes,
        *,
        incarnation: str,
        position: str,
        recipient: str | None,
    ) -> Envelope:
        """Read what `write` wrote, where the protocol says elsewhere what `place` does.

        Raises:
            KeyError, ValueError: it is not one of our messages.
        """
        kind = attributes[self._kind]
        if kind not in _KINDS or (kind == Kind.COMMAND) != (recipient is not None):
            raise ValueError(f"a message of kind {kind!r} to {recipient!r}")
        causation = attributes.get(self._causation)
        time = attributes.get(self._time)
        trace = attributes.get(self._trace)
        return Envelope(
            id=read_id(attributes[self._id]),
            type=_text(attributes[self._type]),
            version=_number(attributes[self._version], _MAX_INT),
            kind=kind,
            source=_text(attributes[self._source]),
            key=_text(self._unquoted(attributes[self._subject])),
            correlation=read_id(attributes[self._correlation]),
            causation=read_id(causation) if causation else None,
            body=body,
            recipient=None if recipient is None else _text(recipient),
            traceparent=None if trace is None else _text(self._unquoted(trace)),
            incarnation=_number(incarnation, MAX_INCARNATION),
            position=_number(position, MAX_POSITION),
            time=datetime.fromisoformat(time) if time else None,
        )

    def _quoted(self, text: str) -> str:
        # A key is nearly always an id, which stays as it is.
        if not self._encoded or (text.isascii() and text.isalnum()):
            return text
        return quote(text, safe=_SAFE)

    def _unquoted(self, text: str) -> str:
        return unquote(text, errors="strict") if self._encoded and "%" in text else text


_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')


def _number(text: str, most: int) -> int:
    number = int(text)
    if not 1 <= number <= most:
        raise ValueError(f"{text!r} is not from 1 to {most}")
    return number


def _text(text: str) -> str:
    if not 1 <= len(text) <= _MAX_TEXT or "\x00" in text:
        raise ValueError("a text is empty, too long, or has a character that nobody stores")
    return text
