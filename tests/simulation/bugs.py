"""Bugs to be planted at run time: each takes one rule of the design away, and must be found.

A simulation that finds none of them proves nothing. `within` says after how many seeds each must
have been found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from contracts import payments
from services.fulfillment import process
from services.payments import handlers
from services.payments.payment import Payment, Status
from stagepost.engine import store_memory
from stagepost.engine.cache import Cache
from stagepost.engine.caller import Caller
from stagepost.engine.decisions import Decisions
from stagepost.engine.desk import Desk
from stagepost.engine.items import Item
from stagepost.engine.relay import Relay
from stagepost.engine.store import (
    BROKER,
    Appended,
    Batch,
    Commit,
    Envelope,
    Idempotency,
    Lease,
    Outcome,
    PendingCall,
)
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
from tests.simulation.run import run_seed

Plant = tuple[Any, Any, Any]
"""Where, what, and what stands there instead."""


@dataclass(frozen=True)
class Bug:
    """One rule taken away; `within` is the number of seeds that find it for certain."""

    name: str
    plants: tuple[Plant, ...]
    within: int = 200

    @contextmanager
    def planted(self) -> Iterator[None]:
        with ExitStack() as stack:
            for where, name, instead in self.plants:
                if isinstance(where, dict):
                    stack.enter_context(patch.dict(where, {name: instead}))
                else:
                    stack.enter_context(patch.object(where, name, instead))
            yield


# The one way to write.


async def _publish_first(desk: Desk, items: Sequence[Item], lease: Lease | None) -> list[Item]:
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


async def _outbox_apart(store: FaultyStore, batch: Batch) -> Appended:
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


async def _cursor_first(store: FaultyStore, batch: Batch) -> Appended:
    """Move the cursor in a transaction of its own, before the effect."""
    if not batch.cursors or not batch.commits:
        return await _STORE(store, batch)
    moved = await _STORE(store, Batch(cursors=batch.cursors, lease=batch.lease))
    commits = [replace(commit, cursor=None) for commit in batch.commits]
    appended = await _STORE(store, replace(batch, commits=commits, cursors=()))
    return replace(appended, cursors=moved.cursors)


def _no_inbox(store: MemoryStore, commit: Commit) -> bool:
    unwanted = commit.call is not None and commit.call not in store._calls
    return unwanted or store._answer(commit.idempotency) is not None


def _any_epoch(store: MemoryStore, lease: Lease) -> bool:
    return lease.name in store._leases


def _no_checks(store: MemoryStore, commit: Commit) -> bool:
    return _FOLLOWS(store, replace(commit, checks=()))


async def _cut_is_done(store: FaultyStore, batch: Batch) -> Appended:
    """Take a connection that was cut for a batch that was stored."""
    try:
        return await _STORE(store, batch)
    except OutcomeUnknown:
        return Appended([Outcome.KEPT] * len(batch.commits), [c.to for c in batch.cursors])


async def _no_answers(_store: MemoryStore, _keys: Collection[str]) -> dict[str, Idempotency]:
    return {}


async def _save_anyhow(tables: MemoryTables, moves: Sequence[Move]) -> bool:
    """Write rows whatever the cursor says."""
    tables._at.update({move.view.name: move.at for move in moves})
    return await _SAVE(tables, moves)


# Relay, caller, timers, dead letters.


async def _cursor_before_publication(relay: Relay, chunk: Sequence[Envelope]) -> None:
    await relay._move(chunk[-1].position)
    await relay._publisher.publish(chunk)


async def _trust_the_cursor(relay: Relay) -> None:
    """Believe that all is in the broker that was ever confirmed."""
    relay._cursor = (await relay._store.cursors("relay")).get(relay._id, relay._cursor)
    relay._sent = relay._cursor.at
    await relay._publisher.tail()


async def _keep_the_incarnation(relay: Relay, tail: StreamId) -> None:
    await relay._rewind(tail.position, "something else")


async def _backwards(relay: Relay, chunk: Sequence[Envelope]) -> None:
    await _PUBLISH(relay, sorted(chunk, key=lambda sent: -sent.position))


async def _another_key(
    calls: FaultyCalls, to: str, path: str, body: bytes, idempotency_key: str
) -> bytes:
    return await _POST(calls, to, path, body, f"{idempotency_key}-{calls._io.calls}")


async def _answered_before_stored(works: Caller, call: PendingCall) -> Item:
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


async def _no_patience(_timers: Timers) -> None:
    """Fire at once, whatever lies in the backlog."""


def _put_back_as_it_is(desk: Desk, items: Sequence[Item]) -> None:
    """Decide again on top of what was decided before."""
    for item in items:
        item.decided = None
    _PUT_BACK(desk, items)


def _overtake_the_parked(decisions: Decisions, item: Item) -> None:
    """Handle what comes behind a parked message of the same key."""
    decisions._parking.discard(item.cause.key)
    parked = decisions.parked
    decisions.parked = parked - {item.cause.key}
    try:
        _DECIDE(decisions, item)
    finally:
        decisions.parked = parked


# The services themselves.


def _refund_what_was_received(command: payments.RefundPayment, load: Load) -> Decision:
    """Take a charge that was not answered yet for one that never happens."""
    payment = load.one(Payment, Payment.stream(command.caller, command.reference))
    if payment is None or payment.status is not Status.REQUESTED:
        return handlers.refund_payment(command, load)
    payment.request_refund()
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


@dataclass(frozen=True, slots=True)
class Found:
    """What found a bug, and the first promise that broke."""

    by: str
    broken: str


def hunt(bug: Bug) -> Found | None:
    """Plant a bug, and run seed after seed until one shows it."""
    with bug.planted():
        for seed in range(bug.within):
            result = run_seed(seed)
            if result.broken:
                return Found(f"seed {seed}", result.broken[0])
    return None


BUGS = (
    Bug("published before it is stored", ((Desk, "_append", _publish_first),)),
    Bug("outbox in a transaction of its own", ((FaultyStore, "append", _outbox_apart),)),
    Bug("cursor before effect", ((FaultyStore, "append", _cursor_first),)),
    Bug("no inbox", ((MemoryStore, "_is_duplicate", _no_inbox),)),
    Bug("lease without epoch", ((MemoryStore, "_is_newest", _any_epoch),)),
    Bug("answered before it is stored", ((Decisions, "_has_put_off", lambda *_: False),)),
    Bug("what was not there is taken for fresh", ((Cache, "trim", lambda _: None),)),
    Bug("what is put back stays in memory", ((Desk, "_put_back", _put_back_as_it_is),)),
    Bug("versions not compared", ((MemoryStore, "_follows", lambda *_: True),)),
    Bug("what was read not compared", ((MemoryStore, "_follows", _no_checks),)),
    Bug("cursor passes what failed", ((store_memory, "_stop", lambda *_: None),)),
    Bug("nothing waits behind what failed", ((store_memory, "_touched", lambda _: set()),)),
    Bug("a cut connection taken for done", ((FaultyStore, "append", _cut_is_done),)),
    Bug(
        "idempotency keys not kept",
        ((MemoryStore, "idempotent", _no_answers), (MemoryStore, "_answer", lambda *_: None)),
    ),
    Bug("view without compare-and-set", ((MemoryTables, "save", _save_anyhow),)),
    Bug(
        "relay cursor before publication",
        ((Relay, "_publish", _cursor_before_publication), (Relay, "_reconcile", _trust_the_cursor)),
    ),
    Bug("relay never looks at the broker's tail", ((Relay, "_reconcile", _trust_the_cursor),)),
    Bug("relay out of order", ((Relay, "_publish", _backwards),)),
    Bug("incarnation not raised", ((Relay, "_begin_again", _keep_the_incarnation),)),
    Bug("caller without idempotency key", ((FaultyCalls, "post", _another_key),)),
    Bug(
        "call struck off before its answer is stored",
        ((Caller, "_make", _answered_before_stored),),
    ),
    Bug("timer before backlog", ((Timers, "_wait_for_backlog", _no_patience),), within=400),
    Bug("parked messages overtaken", ((Decisions, "_decide", _overtake_the_parked),)),
    Bug(
        "a late charge is kept",
        ((handlers.HANDLERS, payments.RefundPayment, _refund_what_was_received),),
    ),
    Bug("nothing is undone", ((process, "undo", process.reject),)),
)
"""Every bug that can be planted."""
