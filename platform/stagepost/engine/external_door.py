"""The door for messages from outside: what comes in through it, and under which key."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from stagepost.engine.batch import CursorId
from stagepost.engine.decide import refuse_forged
from stagepost.engine.envelope import Envelope
from stagepost.engine.external import EXTERNAL, Senders
from stagepost.engine.items import Item
from stagepost.engine.links import CONSUMER
from stagepost.engine.transports import FromOutside
from stagepost.errors import BadMessage, Unidentified
from stagepost.messages import Command, decode


def item_from_outside(received: FromOutside, senders: Senders) -> Item:
    """Lay out a message from outside: its cursor is over the stream, whoever sent it."""
    fault = Unidentified(received.fault) if received.fault else None
    cause = received.message if fault else _keyed(received.message, senders)
    return Item(cause, cursor=_cursor(cause.incarnation), hint=received.hint, fault=fault)


def _keyed(came: Envelope, senders: Senders) -> Envelope:
    """Give a command the key that it is about.

    What will be parked because it should not have come keeps its own id for a key: nobody outside
    can hold up what is said here of an order.
    """
    try:
        message = decode(came.type, came.version, came.body)
        refuse_forged(came, message, senders)
    except BadMessage:
        return came
    return replace(came, key=message.key) if isinstance(message, Command) else came


@cache
def _cursor(life: int) -> CursorId:
    return CursorId(CONSUMER, EXTERNAL, life)
