"""What is stored everywhere when all is at rest, laid out for the checks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, cached_property
from typing import Any
from uuid import UUID

from stagepost.aggregate import from_stored
from stagepost.engine.envelope import Envelope
from stagepost.engine.links import routes_of
from stagepost.engine.store import JournalEntry, Notification
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.transport_names import NATS
from stagepost.messages import Answer
from stagepost.view import Recorded
from tests.simulation.clients import Clients
from tests.simulation.plan import FLOW, LINKS, OWNER, SERVICES, SHOP
from tests.simulation.world import START, World


@dataclass
class Records:
    """One service's database."""

    service: str
    store: MemoryStore
    events: list[Notification]
    outbox: list[Envelope]
    journal: list[JournalEntry]

    @cached_property
    def heard(self) -> dict[UUID, JournalEntry]:
        return {e.id: e for e in self.journal if e.direction == "in"}

    @cached_property
    def sent(self) -> dict[UUID, JournalEntry]:
        return {e.id: e for e in self.journal if e.direction == "out"}

    @cached_property
    def recorded(self) -> list[Recorded]:
        return [Recorded(n.position, n.recorded_at, from_stored(n.event)) for n in self.events]


@dataclass
class Evidence:
    """All databases, the broker's streams and the ledgers outside."""

    world: World
    clients: Clients
    of: dict[str, Records] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in SERVICES:
            store = self.world.stores[name]
            self.of[name] = Records(name, store, store._events, store._outbox, store._journal)

    @cached_property
    def placed(self) -> dict[str, dict[str, Any]]:
        return {
            sent.key: json.loads(sent.body)
            for sent in self.of["ordering"].outbox
            if sent.type == "ordering.OrderPlaced"
        }

    @cached_property
    def ends(self) -> dict[str, set[str]]:
        """How each order ended, by what ordering told."""
        ends: dict[str, set[str]] = {}
        for sent in self.of["ordering"].outbox:
            if sent.type in ("ordering.OrderConfirmed", "ordering.OrderRejected"):
                ends.setdefault(sent.key, set()).add(sent.type.rpartition(".")[2])
        return ends

    @cached_property
    def set_back(self) -> str | None:
        """The service whose database was set back, where one was."""
        strike = self.world.plan.set_back
        return strike and strike.target

    def is_of_a_former_life(self, source: str, entry: JournalEntry) -> bool:
        """Tell whether this was heard, or may have been, of a service before it was set back.

        It was sent again since, at another place.
        """
        strike = self.world.plan.set_back
        if strike is None or self.set_back != source:
            return False
        return entry.recorded_at <= START + timedelta(seconds=strike.at) or entry.id in self._moved

    @cached_property
    def _moved(self) -> frozenset[UUID]:
        """What the broker still has at a place where the service that was set back has it not."""
        name = str(self.set_back)
        places = {sent.id: sent.position for sent in self.of[name].outbox}
        stream = self.world.broker.streams.get(name, [])
        return frozenset(m.id for m in stream if m.position != places.get(m.id, m.position))

    @cached_property
    def older(self) -> frozenset[str]:
        """The orders that were there when a database was set back: it may have forgotten them."""
        strike = self.world.plan.set_back
        if strike is None:
            return frozenset()
        then = START + timedelta(seconds=strike.at)
        placed = (m for m in self.of["ordering"].outbox if m.type == "ordering.OrderPlaced")
        return frozenset(sent.key for sent in placed if sent.time is None or sent.time <= then)

    @cached_property
    def decided_twice(self) -> frozenset[str]:
        """The orders whose outcome nobody can promise: who decides it forgot, and others did not.

        Where nobody owns an outcome every service decides some of it.
        """
        is_lost = self.set_back == "fulfillment" or OWNER != "fulfillment"
        return self.older if is_lost else frozenset()

    @cached_property
    def answered_otherwise(self) -> frozenset[str]:
        """The orders that got goods the one time and none the other: inventory forgot the first.

        What it was told comes again, but not what was on its shelves, nor in which order it
        decided then. The process believes its first answer.
        """
        told = [heard for records in self.of.values() for heard in records.heard.values()]
        got, lacked = (
            {heard.key for heard in told if heard.type == f"inventory.{answer}"}
            for answer in ("StockReserved", "StockRejected")
        )
        return frozenset(got & lacked & self.older) if self.set_back == "inventory" else frozenset()

    def confirmed(self, order_id: str) -> bool:
        return self.ends.get(order_id) == {"OrderConfirmed"}


@cache
def readers_of(source: str, type_name: str) -> tuple[str, ...]:
    """Return who hears this type of message of this service over the broker."""
    return tuple(
        link.reader
        for link in LINKS
        if (link.sender, link.message.TYPE) == (source, type_name) and link.transport == NATS
    )


@cache
def published_by(source: str) -> frozenset[str]:
    """Return the types that a service publishes on the broker."""
    return routes_of(SHOP[source], SHOP, FLOW.links).publishes.get(NATS, frozenset())


@cache
def answers_to(command: str) -> frozenset[str]:
    """Return the types that answer a command."""
    return frozenset(
        message.TYPE
        for service in SHOP.values()
        for message in service.sends
        if issubclass(message, Answer) and command == message.TO.TYPE
    )


def what_is_open(world: World) -> list[str]:
    """Say what is still under way anywhere; an empty list is rest."""
    found = []
    for name, store in world.stores.items():
        if len(store._calls):
            found.append(f"{name} waits for {len(store._calls)} calls")
        if store._letters.open():
            found.append(f"{name} has {len(store._letters.open())} dead letters")
        if len(store._timers):
            found.append(f"{name} has {len(store._timers)} timers set")
        at = [world.tables[name]._at.get(view.name, 0) for view in SHOP[name].views]
        if min(at) < len(store._events):
            found.append(
                f"the views of {name} have folded {min(at)} of {len(store._events)} events"
            )
        for sent in store._outbox:
            found += [
                f"{reader} has not heard {_in_words(sent)}"
                for reader in readers_of(name, sent.type)
                if sent.id not in world.stores[reader]._heard
            ]
    return found


def _in_words(sent: Envelope) -> str:
    return f"{sent.source} {sent.incarnation}:{sent.position} {sent.type} for {sent.key}"
