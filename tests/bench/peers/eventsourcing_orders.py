"""Orders over four applications of the `eventsourcing` library, carried by one of its runners.

`python eventsourcing_orders.py ORDERS SETTINGS` says `ready`, waits for a line, places so many
orders, and says `done` when all are confirmed. An order takes five steps, as in the library's own
examples of a system: placed, paid, fetched, shipped, confirmed, each of them recorded by the order
or by the participant whose policy follows the order's events, and whom the order's policy follows.
Each policy's events are recorded with its tracking in one transaction. The runners work inside one
process. The cache of aggregates is the documented tuning. Not among the settings: database
functions, which give up tracking and locking, and NewMultiThreadedRunner, which in this system, as
in any where an application records from two threads at once, ends in "Failed to record tracking"
(over five applications in a mere row, without an order that is taken on, it did 130 to 180/s).
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing import system
from eventsourcing.application import ProcessingEvent
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, event
from eventsourcing.system import ProcessApplication, System

LOOK = 0.02
EVENTS_OF_AN_ORDER = 4


class Order(Aggregate):
    """An order: placed, paid, fetched, shipped and so confirmed."""

    class Placed(Aggregate.Created):
        number: int

    class Paid(Aggregate.Event):
        pass

    class Fetched(Aggregate.Event):
        pass

    class Confirmed(Aggregate.Event):
        pass

    @event(Placed)
    def __init__(self, number: int) -> None:
        self.number = number
        self.status = "placed"

    @event(Paid)
    def pay(self) -> None:
        self.status = "paid"

    @event(Fetched)
    def fetch(self) -> None:
        self.status = "fetched"

    @event(Confirmed)
    def confirm(self) -> None:
        self.status = "confirmed"


class Done(Aggregate):
    """What a participant did for an order."""

    class Happened(Aggregate.Created):
        order: UUID

    @event(Happened)
    def __init__(self, order: UUID) -> None:
        self.order = order

    @staticmethod
    def create_id(order: UUID) -> UUID:
        return uuid5(NAMESPACE_URL, f"/done/{order}")


class Payment(Done):
    class Happened(Done.Happened):
        pass


class Goods(Done):
    class Happened(Done.Happened):
        pass


class Parcel(Done):
    class Happened(Done.Happened):
        pass


class Ordering(ProcessApplication[UUID]):
    """Places orders, and takes them on with every answer."""

    def place(self, number: int) -> None:
        self.save(Order(number))

    @singledispatchmethod
    def policy(self, domain_event: Any, processing_event: ProcessingEvent[UUID]) -> None:
        pass

    @policy.register
    def _(self, domain_event: Payment.Happened, processing_event: ProcessingEvent[UUID]) -> None:
        order: Order = self.repository.get(domain_event.order)
        order.pay()
        processing_event.collect_events(order)

    @policy.register
    def _(self, domain_event: Goods.Happened, processing_event: ProcessingEvent[UUID]) -> None:
        order: Order = self.repository.get(domain_event.order)
        order.fetch()
        processing_event.collect_events(order)

    @policy.register
    def _(self, domain_event: Parcel.Happened, processing_event: ProcessingEvent[UUID]) -> None:
        order: Order = self.repository.get(domain_event.order)
        order.confirm()
        processing_event.collect_events(order)


class Payments(ProcessApplication[UUID]):
    @singledispatchmethod
    def policy(self, domain_event: Any, processing_event: ProcessingEvent[UUID]) -> None:
        pass

    @policy.register
    def _(self, domain_event: Order.Placed, processing_event: ProcessingEvent[UUID]) -> None:
        processing_event.collect_events(Payment(domain_event.originator_id))


class Inventory(ProcessApplication[UUID]):
    @singledispatchmethod
    def policy(self, domain_event: Any, processing_event: ProcessingEvent[UUID]) -> None:
        pass

    @policy.register
    def _(self, domain_event: Order.Paid, processing_event: ProcessingEvent[UUID]) -> None:
        processing_event.collect_events(Goods(domain_event.originator_id))


class Shipping(ProcessApplication[UUID]):
    @singledispatchmethod
    def policy(self, domain_event: Any, processing_event: ProcessingEvent[UUID]) -> None:
        pass

    @policy.register
    def _(self, domain_event: Order.Fetched, processing_event: ProcessingEvent[UUID]) -> None:
        processing_event.collect_events(Parcel(domain_event.originator_id))


PIPES = [
    [Ordering, Payments, Ordering],
    [Ordering, Inventory, Ordering],
    [Ordering, Shipping, Ordering],
]


def main(orders: int, runner: str, cache: int) -> None:
    """Run the system until all orders are confirmed."""
    env = {"PERSISTENCE_MODULE": "eventsourcing.postgres", **os.environ}
    if cache:
        env["AGGREGATE_CACHE_MAXSIZE"] = str(cache)
    running = getattr(system, runner)(System(pipes=PIPES), env=env)
    running.start()
    ordering = running.get(Ordering)
    print("ready", flush=True)  # noqa: T201  # whoever started it listens
    sys.stdin.readline()
    for number in range(orders):
        ordering.place(number)
    while (ordering.recorder.max_notification_id() or 0) < orders * EVENTS_OF_AN_ORDER:
        time.sleep(LOOK)
    print("done", flush=True)  # noqa: T201
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), **json.loads(sys.argv[2]))
