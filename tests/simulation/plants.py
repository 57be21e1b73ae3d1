"""What stands in the place of a rule of the design where a bug is planted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from contracts import payments
from services.payments import handlers
from services.payments.payment import Payment, Status
from stagepost.engine.batch import BROKER, Appended, Batch, Commit, Idempotency, Lease, Outcome
from stagepost.engine.caller import Caller
from stagepost.engine.decisions import Decisions
from stagepost.engine.desk import Desk
from stagepost.engine.envelope import Envelope
from stagepost.engine.items import Item
from stagepost.engine.relay import Relay
from stagepost.engine.store import PendingCall
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.tables_memory import MemoryTables
from stagepost.engine.timers import Timers
from stagepost.engine.transports import StreamId
from stagepost.engine.views import Move
from stagepost.errors import OutcomeUnknown
from stagepost.handler import Decision, Load
from tests.simulation.faults import WRITE
from tests.simulation.loop import here
from tests.simulation.ports import FaultyCalls, FaultyStore

# The one way to write.


async def publish_first(desk: Desk, items: Sequence[Item], lease: Lease | None) -> list[Item]:
    """Tell the broker before the store: what is not stored after all was told."""
    node = here().node
    store: MemoryStore = node.world.stores[node.service]
    position, ghosts = store._position, []
    for commit in desk._batch(items, lease).commits:
        position += 1
        for sent in commit.sends:
            position += 1
            if sent.channel == BROKER:
                ghosts.append(_envelope(store, sent, commit.cause, position))
    node.world.broker.streams.setdefault(node.service, []).extend(ghosts)
    for reader in node.world.broker.readers:
        reader.wake()
    return await _APPEND(desk, items, lease)


def _envelope(store: MemoryStore, sent: Any, cause: Envelope, position: int) -> Envelope:
    return Envelope(
        **{name: getattr(sent, name) for name in ("id", "type", "version", "kind", "key", "body")},
        recipient=sent.recipient,
        source=store._source,
        correlation=cause.correlation,
        causation=cause.id,
        incarnation=store._incarnation,
        position=position,
        time=store._clock.now(),
    )


async def outbox_apart(store: FaultyStore, batch: Batch) -> Appended:
    """Write the outbox in a transaction of its own, after the events."""
    appended = await _STORE(
        store, replace(batch, commits=[replace(c, sends=()) for c in batch.commits])
    )
    kept = [
        commit
        for commit, outcome in zip(batch.commits, appended.outcomes, strict=True)
        if outcome is Outcome.KEPT and commit.sends
    ]

    async def send() -> None:
        for commit in kept:
            for message in commit.sends:
                inner._send(message, commit.cause, inner._clock.now())

    inner = store._store
    if kept:
        await store._io.reach(
            store._party, "store.send", send, able=WRITE, failed=OutcomeUnknown("simulated")
        )
    return appended


async def cursor_first(store: FaultyStore, batch: Batch) -> Appended:
    """Move the cursor in a transaction of its own, before the effect."""
    if not batch.cursors or not batch.commits:
        return await _STORE(store, batch)
    moved = await _STORE(store, Batch(cursors=batch.cursors, lease=batch.lease))
    commits = [replace(commit, cursor=None) for commit in batch.commits]
    appended = await _STORE(store, replace(batch, commits=commits, cursors=()))
    return replace(appended, cursors=moved.cursors)


def no_inbox(store: MemoryStore, commit: Commit) -> bool:
    unwanted = commit.call is not None and commit.call not in store._calls
    return unwanted or store._answer(commit.idempotency) is not None


def any_epoch(store: MemoryStore, lease: Lease) -> bool:
    return lease.name in store._leases


def no_checks(store: MemoryStore, commit: Commit) -> bool:
    return _FOLLOWS(store, replace(commit, checks=()))


async def cut_is_done(store: FaultyStore, batch: Batch) -> Appended:
    """Take a connection that was cut for a batch that was stored."""
    try:
        return await _STORE(store, batch)
    except OutcomeUnknown:
        return Appended([Outcome.KEPT] * len(batch.commits), [c.to for c in batch.cursors])


async def no_answers(_store: MemoryStore, _keys: Collection[str]) -> dict[str, Idempotency]:
    return {}


async def save_anyhow(tables: MemoryTables, moves: Sequence[Move]) -> bool:
    """Write rows whatever the cursor says."""
    tables._at.update({move.view.name: move.at for move in moves})
    return await _SAVE(tables, moves)


# Relay, caller, timers, dead letters.


async def cursor_before_publication(relay: Relay, chunk: Sequence[Envelope]) -> None:
    await relay._move(chunk[-1].position)
    await relay._publisher.publish(chunk)


async def trust_the_cursor(relay: Relay) -> None:
    """Believe that all is in the broker that was ever confirmed."""
    relay._cursor = (await relay._store.cursors("relay")).get(relay._id, relay._cursor)
    relay._sent = relay._cursor.at
    await relay._publisher.tail()


async def keep_the_incarnation(relay: Relay, tail: StreamId) -> None:
    await relay._rewind(tail.position, "something else")


async def backwards(relay: Relay, chunk: Sequence[Envelope]) -> None:
    await _PUBLISH(relay, sorted(chunk, key=lambda sent: -sent.position))


async def another_key(
    calls: FaultyCalls, to: str, path: str, body: bytes, idempotency_key: str
) -> bytes:
    return await _POST(calls, to, path, body, f"{idempotency_key}-{calls._io.calls}")


async def answered_before_stored(works: Caller, call: PendingCall) -> Item:
    """Strike the call off the list, then store what was answered."""
    inner = here().node.world.stores[here().node.service]
    item = await _MAKE(works, call)

    async def strike_off() -> None:
        inner._calls._waiting.pop(call.position, None)

    store: Any = works._store
    await store._io.reach(
        store._party, "store.forget", strike_off, able=WRITE, failed=OutcomeUnknown("simulated")
    )
    return item


async def no_patience(_timers: Timers) -> None:
    """Fire at once, whatever lies in the backlog."""


def put_back_as_it_is(desk: Desk, items: Sequence[Item]) -> None:
    """Decide again on top of what was decided before."""
    for item in items:
        item.decided = None
    _PUT_BACK(desk, items)


def overtake_the_parked(decisions: Decisions, item: Item) -> None:
    """Handle what comes behind a parked message of the same key."""
    decisions._parking.discard(item.cause.key)
    parked = decisions.parked
    decisions.parked = parked - {item.cause.key}
    try:
        _DECIDE(decisions, item)
    finally:
        decisions.parked = parked


# The services themselves.


def refund_what_was_received(command: payments.RefundPayment, load: Load) -> Decision:
    """Take a charge that was not answered yet for one that never happens."""
    payment = load.one(Payment, Payment.stream(command.caller, command.reference))
    if payment is None or payment.status is not Status.REQUESTED:
        return handlers.refund_payment(command, load)
    payment.request_refund(reason=handlers.REFUNDED_BEFORE)
    payment.refund(amount=0)
    declined = handlers._declined(payment, handlers.REFUNDED_BEFORE)
    return Decision((payment,), (declined, handlers._refunded(payment)))


_APPEND = Desk._append
_STORE = FaultyStore.append
_FOLLOWS = MemoryStore._follows
_SAVE = MemoryTables.save
_PUBLISH = Relay._publish
_POST = FaultyCalls.post
_MAKE = Caller._make
_DECIDE = Decisions._decide
_PUT_BACK = Desk._put_back
