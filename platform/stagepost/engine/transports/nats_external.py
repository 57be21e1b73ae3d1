"""The stream of senders from outside: what a message there says, and where to go on reading.

Its sequence is the position, and which life of the stream it is stands where sources have the
incarnation of their database. Nobody can send again what this stream has lost. A reader that sees
it set back begins a new life at the stream's beginning: the inbox knows what was handled.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from stagepost.engine.batch import Cursor
from stagepost.engine.envelope import Envelope
from stagepost.engine.external import EXTERNAL, source_of
from stagepost.engine.ids import derived, read_id
from stagepost.engine.transports import FromOutside
from stagepost.engine.transports.cloudevents import MAX_INCARNATION
from stagepost.engine.transports.nats_api import NoMessage, ask
from stagepost.messages import Kind

SUBJECTS = f"{EXTERNAL}.*.command.*.*"

_NAMELESS = uuid5(NAMESPACE_URL, "stagepost:external")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

log = structlog.get_logger(__name__)


def subject_to(recipient: str, sender: str = "*", name: str = "*") -> str:
    """Return the subject of a command from outside."""
    return f"{source_of(sender)}.command.{recipient}.{name}"


def read_from_outside(message: Msg, life: int) -> FromOutside:
    """Read a delivered message. Who sends what to whom the subject says: the broker minds it."""
    _, sender, _, recipient, name = message.subject.split(".")
    *_, sequence, _, stored, _ = message.reply.split(".")
    fault = None
    try:
        identity, version = _read_headers(message.headers or {})
    except (KeyError, ValueError) as error:
        fault = f"its headers must name it (ce-id, a UUID) and its version (ce-version): {error!r}"
        identity, version = derived(_NAMELESS, f"{life}/{sequence}"), 1
    at = int(stored) // 1000
    envelope = Envelope(
        id=identity,
        type=f"{recipient}.{name}",
        version=version,
        kind=Kind.COMMAND,
        source=source_of(sender),
        key=str(identity),
        correlation=identity,
        causation=None,
        body=message.data,
        recipient=recipient,
        incarnation=life,
        position=int(sequence),
        time=_EPOCH + at * _MICROSECOND,
    )
    return FromOutside(envelope, at, fault)


def _read_headers(headers: Mapping[str, str]) -> tuple[UUID, int]:
    version = int(headers["ce-version"])
    if not 1 <= version <= MAX_INCARNATION:
        raise ValueError(f"there is no version {version}")
    return read_id(headers["ce-id"]), version


async def where_to_begin(client: Client, cursor: Cursor | None) -> tuple[int, int]:
    """Return which life of the stream it is for a reader, and the sequence where it goes on.

    Raises:
        TransportUnavailable
    """
    if cursor is None:
        return 1, 1
    if await _was_set_back(client, cursor):
        log.warning("set back: what it lost nobody can send again", stream=EXTERNAL, at=cursor.at)
        return cursor.id.incarnation + 1, 1
    return cursor.id.incarnation, cursor.at + 1


async def _was_set_back(client: Client, cursor: Cursor) -> bool:
    """Tell whether the stream ends before a cursor, or has another message there than was read."""
    info = await ask(client, f"STREAM.INFO.{EXTERNAL}")
    if info["state"]["last_seq"] < cursor.at:
        return True
    try:
        answer = await ask(client, f"STREAM.MSG.GET.{EXTERNAL}", {"seq": cursor.at})
    except NoMessage:  # somebody took it out: what comes behind it still does
        return False
    return _stored_at(answer["message"]) != cursor.hint


def _stored_at(message: Mapping[str, Any]) -> int:
    return (datetime.fromisoformat(message["time"]) - _EPOCH) // _MICROSECOND
