"""The promises of the design, checked over everything that is stored.

Each check yields what it finds broken, beginning with the number of the promise. Where a database
was set back, what it forgot is excused, and what its readers believe that heard of it before:
`Evidence.set_back` and the orders that were there then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

from services.demo.replay import differences, replayed
from stagepost.aggregate import Aggregate
from stagepost.engine.decisions import fold
from stagepost.engine.envelope import Envelope
from stagepost.engine.store import Stream
from stagepost.messages import Kind
from tests.simulation.evidence import Evidence, Records, answers_to, published_by, readers_of
from tests.simulation.plan import OWNER, SHOP

Check = Callable[[Evidence], Iterator[str]]


def no_order_is_lost(seen: Evidence) -> Iterator[str]:
    for order_id in seen.clients.accepted:
        if order_id not in seen.placed:
            yield f"1 order {order_id} was accepted, and is not there"
    for order_id in seen.placed:
        ends = seen.ends.get(order_id, set())
        if len(ends) != 1 and order_id not in seen.decided_twice:
            yield f"1 order {order_id} ended {len(ends)} ways: {sorted(ends)}"
    if len(seen.placed) > len(seen.world.plan.orders):
        meant = len(seen.world.plan.orders)
        yield f"3 {meant} orders were meant, these are placed: {[*seen.placed]}"


def no_message_is_lost(seen: Evidence) -> Iterator[str]:
    for name, records in seen.of.items():
        stream = seen.world.broker.streams.get(name, [])
        told = [sent for sent in records.outbox if sent.type in published_by(name)]
        if name == seen.set_back:
            is_there = _ids_that_count(stream, records) == [sent.id for sent in told]
        else:
            arrived = [(m.incarnation, m.position, m.id) for m in stream]
            is_there = arrived == [(m.incarnation, m.position, m.id) for m in told]
        if not is_there:
            yield (
                f"2 the broker has {len(stream)} messages of {name}, not the "
                f"{len(told)} of its outbox, in their order"
            )
        answered = {e.causation for e in records.journal if e.kind == "answer"}
        for call in records.sent.values():
            if call.kind == "call" and call.id not in answered and not _is_void(call.id, records):
                yield f"2 the call {call.type} {call.id} for {call.key} was never answered"


def _ids_that_count(stream: Sequence[Envelope], records: Records) -> list[UUID]:
    """Return what is in a stream of what its database still knows, each where it came last."""
    known = {sent.id for sent in records.outbox}
    last = {sent.id: place for place, sent in enumerate(stream) if sent.id in known}
    return sorted(last, key=last.__getitem__)


def every_reader_hears(seen: Evidence) -> Iterator[str]:
    for name, records in seen.of.items():
        for sent in records.outbox:
            for reader in readers_of(name, sent.type):
                if sent.id not in seen.of[reader].heard:
                    yield f"2 {sent.type} {sent.id} for {sent.key} never reached {reader}"


def every_command_is_delivered(seen: Evidence) -> Iterator[str]:
    for name, records in seen.of.items():
        for sent in records.sent.values():
            if sent.kind == Kind.COMMAND and sent.id not in seen.of[str(sent.peer)].heard:
                yield f"2 {sent.type} {sent.id} for {sent.key} of {name} never reached {sent.peer}"


def _is_void(call: Any, records: Records) -> bool:
    """Tell whether a refund took the place of a charge."""
    key = records.sent[call].key
    place = records.sent[call].position
    return any(
        other.type == "payments.Refund" and other.key == key and other.position > place
        for other in records.sent.values()
    )


def nothing_is_done_twice(seen: Evidence) -> Iterator[str]:
    for name, records in seen.of.items():
        sent = Counter(e.id for e in records.journal if e.direction == "out")
        heard = Counter(e.id for e in records.journal if e.direction == "in")
        for what, counted in (("sent", sent), ("heard", heard)):
            yield from (f"3 {name} {what} {i} {n} times" for i, n in counted.items() if n > 1)
        happened: Counter[tuple[str, ...]] = Counter()
        for recorded in records.recorded:
            topic, holder = recorded.event.TOPIC, getattr(recorded.event, "holder", None)
            once = not topic.startswith(("inventory.StockItem", "stagepost.Instance"))
            if once or holder is not None:
                happened[topic, f"{recorded.event.originator_id}", f"{holder}"] += 1
        yield from (f"3 {name}: {what} happened {n} times" for what, n in happened.items() if n > 1)
    for table, rows in seen.world.ledgers.tables.items():
        moved = Counter(
            (r["reference"], r["kind"]) for r in rows if r.get("amount") or r.get("units")
        )
        yield from (f"3 {what} was done {n} times in {table}" for what, n in moved.items() if n > 1)
        for row in rows:
            if row["kind"] == "repeated":
                yield f"3 the world was asked again for {row['reference']} under another key"


def order_holds_per_key(seen: Evidence) -> Iterator[str]:
    for name, records in seen.of.items():
        versions: Counter[Any] = Counter()
        for stored in records.events:
            versions[stored.event.originator_id] += 1
            if stored.event.originator_version != versions[stored.event.originator_id]:
                yield f"4 {name}: event {stored.position} is out of its stream's order"
        yield from _acted_in_order(name, records)
        for source, other in seen.of.items():
            place = {
                sent.id: sent.position
                for sent in other.sent.values()
                if sent.kind == Kind.COMMAND or name in readers_of(source, sent.type)
            }
            heard: dict[str, int] = {}
            for entry in records.heard.values():
                if seen.is_of_a_former_life(source, entry):
                    continue
                if entry.peer == source and entry.id in place:
                    if place[entry.id] < heard.get(entry.key, 0):
                        yield (
                            f"4 {name} heard {source} {place[entry.id]} {entry.type} for "
                            f"{entry.key} after {heard[entry.key]}"
                        )
                    heard[entry.key] = place[entry.id]


def _acted_in_order(name: str, records: Records) -> Iterator[str]:
    """What was sent, and what happened, comes in the order in which its causes were heard, by key.

    Requests are left out: they do not wait behind what is parked.
    """
    sent = [(e.position, e.type, e.causation) for e in records.journal if e.direction == "out"]
    happened = [(n.position, n.event.topic, n.causation) for n in records.events]
    for acts in (sent, happened):
        last: dict[str, int] = {}
        for position, what, causation in acts:
            cause = records.heard.get(causation)  # type: ignore[arg-type]
            if cause is not None and cause.kind != "request":
                if cause.position < last.get(cause.key, 0):
                    yield f"4 {name}: {what} {position} for {cause.key} came out of order"
                last[cause.key] = cause.position


def money_agrees(seen: Evidence) -> Iterator[str]:
    held: Counter[str] = Counter()
    for row in seen.world.ledgers.tables["charges"]:
        held[row["reference"]] += row["amount"]
    for order_id, placed in seen.placed.items():
        due = placed["amount"] if seen.confirmed(order_id) else 0
        kept = held.pop(f"{OWNER}/{order_id}", 0)
        if kept != due and order_id not in seen.decided_twice:
            yield f"5 the provider keeps {kept} for order {order_id}, it should be {due}"
    yield from (f"5 {who} was charged {kept} for no order" for who, kept in held.items() if kept)
    certain = seen.placed.keys() - seen.decided_twice
    confirmed = sum(seen.placed[order]["amount"] for order in certain if seen.confirmed(order))
    rows: Collection[Any] = seen.world.tables["payments"]._rows.get("payments", {}).values()
    kept = sum(r.received - r.refunded for r in rows if r.order_id not in seen.decided_twice)
    if kept != confirmed:
        yield f"5 payments keeps {kept}, the confirmed orders come to {confirmed}"


def stock_adds_up(seen: Evidence) -> Iterator[str]:
    skus: dict[Any, str] = {}
    there: dict[str, Counter[str]] = {}
    held: Counter[tuple[str, str]] = Counter()
    gone: Counter[tuple[str, str]] = Counter()
    twice = {f"{OWNER}/{order_id}" for order_id in seen.decided_twice}
    otherwise = {f"{OWNER}/{order_id}" for order_id in seen.answered_otherwise}
    for recorded in seen.of["inventory"].recorded:
        happened: Any = recorded.event
        what = happened.TOPIC
        if what == "inventory.Reservation.Rejected" and all(
            there.get(units.sku, _NONE)["on_hand"] >= units.quantity for units in happened.lines
        ):
            yield f"6 order {happened.order_id} was refused goods that were there"
        if not what.startswith("inventory.StockItem"):
            continue
        if what.endswith("Declared"):
            skus[happened.originator_id] = happened.sku
            there[happened.sku] = Counter()
            continue
        sku = skus[happened.originator_id]
        places = there[sku]
        for place, sign in _MOVES[what.rpartition(".")[2]].items():
            places[place] += sign * happened.quantity
            if place == "reserved":
                held[happened.holder, sku] += sign * happened.quantity
            if place == "gone" and happened.holder not in twice:
                gone[happened.holder, sku] += sign * happened.quantity
        if min(places[place] for place in ("on_hand", "reserved", "gone")) < 0:
            yield f"6 after event {recorded.position} there are {dict(places)} {sku}"
    for sku in {**there, **seen.clients.received}:
        places, received = there.get(sku, _NONE), seen.clients.received.get(sku, 0)
        forgot = seen.set_back == "inventory" and places["received"] < received
        if places["received"] != received and not forgot:
            yield f"6 of {sku} {received} were received, and at rest there are {dict(places)}"
    for (holder, sku), units in held.items():
        if units and holder not in otherwise:
            yield f"6 {units} of {sku} are held for {holder} at rest"
    shipped = _shipped(seen, twice)
    refused = otherwise - {holder for holder, _ in +gone}
    owed = {what: units for what, units in shipped.items() if what[0] not in refused}
    if +gone != owed:
        yield f"6 these units are gone: {dict(+gone)}, and these shipped: {owed}"
    for holder, _ in shipped:
        if not seen.confirmed(holder.partition("/")[2]):
            yield f"6 {holder} shipped, and its order is not confirmed"


def _shipped(seen: Evidence, but_for: Collection[str]) -> Counter[tuple[str, str]]:
    """Return how much of what left in whose parcels, as the carrier has it."""
    shipped: Counter[tuple[str, str]] = Counter()
    for row in seen.world.ledgers.tables["parcels"]:
        for line in row["lines"] if row["reference"] not in but_for else ():
            shipped[row["reference"], line["sku"]] += line["quantity"]
    return shipped


_NONE: Counter[str] = Counter()
_MOVES = {
    "Received": {"received": 1, "on_hand": 1},
    "Reserved": {"on_hand": -1, "reserved": 1},
    "Fetched": {"reserved": -1, "gone": 1},
    "Released": {"reserved": -1, "on_hand": 1},
    "Returned": {"gone": -1, "on_hand": 1},
}


def every_command_is_answered(seen: Evidence) -> Iterator[str]:
    for records in seen.of.values():
        for sent in records.sent.values():
            if sent.kind != Kind.COMMAND or sent.key in seen.decided_twice:
                continue
            reader = seen.of[str(sent.peer)]
            heard = reader.heard.get(sent.id)
            answers = answers_to(sent.type)
            if heard is not None and not any(
                reply.type in answers and reply.key == sent.key and reply.position > heard.position
                for reply in reader.sent.values()
            ):
                yield f"7 {sent.type} {sent.id} for {sent.key} was never answered"


def every_chain_begins_somewhere(seen: Evidence) -> Iterator[str]:
    everything = {i: e for records in seen.of.values() for i, e in records.sent.items()}
    for name, records in seen.of.items():
        for sent in records.sent.values():
            cause = records.heard.get(sent.causation)  # type: ignore[arg-type]
            if cause is None or cause.position > sent.position:
                yield f"7 {name} {sent.position} {sent.type} has no cause"
            elif cause.correlation != sent.correlation:
                yield f"7 {name} {sent.position} {sent.type} has a correlation of its own"
        for stored in records.events:
            if stored.causation not in records.heard:
                yield f"7 {name}: event {stored.position} {stored.event.topic} has no cause"
        for heard in records.heard.values():
            said = heard.causation if heard.kind == "answer" else heard.id
            if heard.peer == seen.set_back and heard.key in seen.older:
                continue
            if heard.kind in ("command", "event", "answer") and said not in everything:
                yield f"7 {name} heard {heard.type} {heard.id}, and nobody sent it"


def views_equal_their_replay(seen: Evidence) -> Iterator[str]:
    for name, records in seen.of.items():
        for view in SHOP[name].views:
            stored = seen.world.tables[name]._rows.get(view.name, {})
            made = replayed(view, records.recorded)
            yield from (f"8 {fault}" for fault in differences(f"{name}.{view.name}", stored, made))


def what_is_in_memory_equals_its_events(seen: Evidence) -> Iterator[str]:
    for node in seen.world.nodes.values():
        for stream, known in node.desk._decisions.cache.items():
            stored = seen.of[node.service].store._streams.get(stream, [])
            if not isinstance(known, Aggregate):
                continue
            if known.version > len(stored):
                yield f"8 {node.name} knows {stream} up to {known.version} of {len(stored)}"
            elif fold(Stream(stored[: known.version])).__dict__ != known.__dict__:
                yield f"8 {node.name} has {stream} not as its events make it"


CHECKS: tuple[Check, ...] = (
    no_order_is_lost,
    no_message_is_lost,
    every_reader_hears,
    every_command_is_delivered,
    nothing_is_done_twice,
    order_holds_per_key,
    money_agrees,
    stock_adds_up,
    every_command_is_answered,
    every_chain_begins_somewhere,
    views_equal_their_replay,
    what_is_in_memory_equals_its_events,
)


def broken_promises(seen: Evidence) -> list[str]:
    """Return everything that is broken."""
    return [fault for check in CHECKS for fault in _found(check, seen)]


def _found(check: Check, seen: Evidence) -> list[str]:
    try:
        return list(check(seen))
    except Exception as error:  # noqa: BLE001  # what cannot even be read is broken
        return [f"{check.__name__} cannot be checked: {error!r}"]
