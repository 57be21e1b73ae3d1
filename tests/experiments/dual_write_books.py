"""What is held against what: stored orders, messages on the stream, what clients were told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg
import nats
from nats.js.api import AckPolicy, ConsumerConfig

from services.ordering.app import service as ordering
from services.ordering.order import Order
from tests.experiments.dual_write_victim import CLIENTS, Way
from tests.experiments.result import Result, Table

STORED = f"""\
SELECT convert_from(state, 'UTF8')::jsonb->>'order_id' AS order_id
  FROM stored_events WHERE topic = '{Order.Placed.TOPIC}'"""
CHUNK = 500
"""Messages that are fetched at once."""


@dataclass(frozen=True)
class Books:
    """What is known of one way in the end.

    `stored` are the orders in the database, `told` the messages on the stream as message id and
    order, `accepted` the orders of which a client was told so.
    """

    kills: int
    stored: frozenset[str]
    told: tuple[tuple[str, str], ...]
    accepted: frozenset[str]

    @property
    def lost(self) -> set[str]:
        """Orders of which nobody was told."""
        return set(self.stored - self._announced)

    @property
    def ghosts(self) -> set[str]:
        """Orders of which others were told, and that there are not."""
        return set(self._announced - self.stored)

    @property
    def told_twice(self) -> set[str]:
        """Orders of which others were told in two messages, that nothing shows to be the same."""
        messages = Counter(order for _, order in set(self.told))
        return {order for order, count in messages.items() if count > 1}

    @property
    def missing(self) -> set[str]:
        """Orders that were said to be accepted, and that there are not."""
        return set(self.accepted - self.stored)

    @property
    def harmful(self) -> int:
        """How many kills did harm: an order's id begins with the number of the kill."""
        return len({order.partition("-")[0] for order in self.lost | self.ghosts | self.told_twice})

    @property
    def is_clean(self) -> bool:
        """Whether each order was told once, nothing else was, and what was accepted is stored."""
        return not (self.lost or self.ghosts or self.told_twice or self.missing)

    @property
    def _announced(self) -> frozenset[str]:
        return frozenset(order for _, order in self.told)


async def read_stored(dsn: str) -> frozenset[str]:
    """Return the ids of the orders that are stored."""
    connection = await asyncpg.connect(dsn)
    try:
        return frozenset(row["order_id"] for row in await connection.fetch(STORED))
    finally:
        await connection.close()


async def read_told(url: str) -> tuple[tuple[str, str], ...]:
    """Return all messages on ordering's stream, as message id and order."""
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        left = (await stream.stream_info(ordering.name)).state.messages
        config = ConsumerConfig(ack_policy=AckPolicy.NONE)
        reader = await stream.pull_subscribe(
            f"{ordering.name}.>", stream=ordering.name, config=config
        )
        told: list[tuple[str, str]] = []
        while len(told) < left:
            for message in await reader.fetch(min(CHUNK, left - len(told))):
                assert message.headers is not None
                told.append((message.headers["ce-id"], json.loads(message.data)["order_id"]))
        return tuple(told)
    finally:
        await client.close()


async def forget_told(url: str) -> None:
    """Remove ordering's stream: the next way begins with its own."""
    client = await nats.connect(url)
    try:
        await client.jetstream().delete_stream(ordering.name)
    finally:
        await client.close()


COLUMNS = (
    "how the message leaves",
    "kills",
    "did harm",
    "orders",
    "messages",
    "lost",
    "accepted",
    "ghosts",
    "twice",
)

LEGEND = (
    "lost: orders that are stored and that nobody was told of; accepted: how many of these a client"
    " was told are accepted. ghosts: orders that others were told of and that there are not. twice:"
    " orders told of in two messages that nothing shows to be the same."
)
SHOWS = (
    "What it shows: between two writes there is a moment, whichever comes first, and a process that"
    " dies in it has done one of them. To ask again heals nothing (every second client without an"
    " answer did, under the same order id): a lost message stays lost, for the order is there and"
    " is accepted once more; a ghost becomes an order that is told twice. With the outbox order and"
    " message are one commit, and the relay finds at the end of the stream where to go on."
)
SHOWS_NOT = (
    "What it does not show: how often it happens, for every kill met a process that had"
    f" {CLIENTS} orders under way; nor what a broker or a database does that dies itself (make"
    " drill kills those). A relay may publish a message again, under the same id; that is not"
    " counted, for readers know it, as ours do by their cursor and inbox."
)


def result(found: Mapping[Way, Books]) -> Result:
    """Return what is printed. It is claimed that the outbox is clean, and that no other way is."""
    first = next(iter(found.values()))
    title = (
        f"ordering, killed {first.kills} times a way (kill -9) while {CLIENTS} clients order:"
        " what is stored against what was told"
    )
    return Result(
        tables=[Table(title, COLUMNS, [_row(way, books) for way, books in found.items()])],
        says=[LEGEND, SHOWS, SHOWS_NOT],
        holds=all(_is_as_claimed(way, books) for way, books in found.items()),
    )


def _is_as_claimed(way: Way, books: Books) -> bool:
    if way is Way.OUTBOX:
        return books.is_clean
    return bool(books.lost or books.ghosts) and not books.missing


def _row(way: Way, books: Books) -> tuple[object, ...]:
    return (
        way.value,
        books.kills,
        books.harmful,
        len(books.stored),
        len(books.told),
        len(books.lost),
        len(books.lost & books.accepted),
        len(books.ghosts),
        len(books.told_twice),
    )
