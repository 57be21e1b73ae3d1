"""Decides about a batch of messages in their order, loading what they need in few round trips."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

import structlog

from stagepost.aggregate import Aggregate, from_snapshot, from_stored, held
from stagepost.engine.cache import Cache, Loadable
from stagepost.engine.decide import Decider, Loaded, NotLoaded
from stagepost.engine.items import Item
from stagepost.engine.store import Store, Stream
from stagepost.errors import (
    NoRoom,
    OutcomeUnknown,
    Refused,
    StoreUnavailable,
    UnreadableEvent,
    UnreadableStream,
)
from stagepost.messages import Message, decode

A = TypeVar("A", bound=Aggregate)
T = TypeVar("T")

log = structlog.get_logger(__name__)


class Decisions:
    """The decider of one service, with the aggregates that it has in memory."""

    def __init__(self, decider: Decider, store: Store) -> None:
        self._decider = decider
        self._store = store
        self.cache = Cache()
        self.parked: set[str] = set()
        """Keys whose messages wait for a person."""
        self.no_room: str | None = None
        """Why new work is turned away, while it is."""
        self._parking: set[str] = set()
        """Keys of which this batch parks a message."""
        self._unstored: set[UUID | str] = set()
        """Streams that this batch changes."""
        self.put_off: list[Item] = []
        """Requests that have to be decided again once this batch is stored."""

    async def decide(self, items: Sequence[Item]) -> list[Item]:
        """Decide about each in its turn; return those with something to commit.

        Where one lacks an aggregate, all behind it wait too, and one round trip fetches what any
        of them lacks. None goes ahead: what is read again after a set-back, by a service that has
        nothing in memory then, is decided as it was the first time, also where keys have something
        in common, such as the last units of a stock.
        """
        decided: list[Item] = []
        self._parking.clear()
        self._unstored.clear()
        self.put_off.clear()
        self.cache.trim()
        turn = 0
        while turn < len(items):
            try:
                self._decide(items[turn])
            except NotLoaded as need:
                await self._load(need.streams | self._lacking(items[turn + 1 :]))
                continue
            if items[turn].decided is not None:
                decided.append(items[turn])
            turn += 1
        return decided

    def _lacking(self, items: Iterable[Item]) -> frozenset[UUID]:
        """Return what is not in memory of what these will ask for, as far as it can be seen now."""
        with held():
            return frozenset().union(*map(self._lacks, items))

    def _lacks(self, item: Item) -> frozenset[UUID]:
        try:
            self._decider.decide(item.cause, _message_of(item), Loaded(self.cache))
        except NotLoaded as need:
            return need.streams
        except Exception:  # noqa: BLE001  # whatever it is, it will be met in its turn
            return frozenset()
        return frozenset()

    def _decide(self, item: Item) -> None:
        cause = item.cause
        waits = cause.key in self._parking or (cause.key in self.parked and item.redrives is None)
        if waits and not item.is_request:
            item.park(f"waits behind an earlier message of {cause.key}")
            return
        load = Loaded(self.cache)
        try:
            decided = self._decider.decide(cause, _message_of(item), load)
        except NotLoaded:
            raise
        except Exception as error:  # noqa: BLE001  # any fault parks its message, or fails its request
            self.cache.forget(load.changed())
            self._refuse(item, error, load)
            return
        if item.is_request and self.no_room and not decided.is_empty:
            self.cache.forget(load.changed())
            item.fail(NoRoom(self.no_room))
            return
        self.cache.keep(decided.touched)
        if not (item.is_request and decided.is_empty):
            item.decided = decided
            self._unstored.update(event.originator_id for event in decided.commit.events)
        elif not self._has_put_off(item, load):
            item.finish(decided.answer)

    def _has_put_off(self, item: Item, load: Loaded) -> bool:
        """Put a request off where its answer would rest on what may still come to nothing."""
        rests = not self._unstored.isdisjoint(load.asked)
        if rests:
            self.put_off.append(item)
        return rests

    def _refuse(self, item: Item, error: Exception, load: Loaded) -> None:
        if (isinstance(error, Refused) or not item.needs_lease) and (
            stale := self.cache.older(load.asked)
        ):
            # Nothing is refused on the ground of what was loaded for an earlier batch.
            self.cache.forget(stale)
            raise NotLoaded(stale)
        if not item.is_request:
            log.error(
                "message parked",
                type=item.cause.type,
                key=item.cause.key,
                correlation=str(item.cause.correlation),
                reason=str(error),
            )
            self._parking.add(item.cause.key)
            item.park(str(error) or type(error).__name__)
        elif not self._has_put_off(item, load):
            item.fail(error)

    async def _load(self, streams: Iterable[UUID]) -> None:
        names = list(streams)
        self.cache.add(await patiently(lambda: rebuild(self._store, names)))


def _message_of(item: Item) -> Message:
    if item.fault is not None:
        raise item.fault
    if item.message is None:
        item.message = decode(item.cause.type, item.cause.version, item.cause.body)
    return item.message


async def rebuild(store: Store, names: Collection[UUID]) -> dict[UUID, Loadable]:
    """Load aggregates: from their snapshots, and from the start where those are of no use."""
    stored = await store.load(names)
    found = {name: fold_or_fault(name, stored.get(name)) for name in names}
    useless = [
        name
        for name, stream in stored.items()
        if stream.snapshot is not None and isinstance(found[name], UnreadableStream)
    ]
    if useless:
        log.info("folding from the start", streams=len(useless), reason=str(found[useless[0]]))
        stored = await store.load(useless, from_start=True)
        found |= {name: fold_or_fault(name, stored.get(name)) for name in useless}
    return found


def fold_or_fault(name: UUID, stored: Stream | None) -> Loadable:
    """Rebuild an aggregate; one that cannot be read is the fault of whoever asks for it, alone."""
    try:
        return None if stored is None else fold(stored)
    except UnreadableEvent as error:
        return UnreadableStream(str(error))
    except Exception as error:  # noqa: BLE001  # whatever is stored can do to its class
        return UnreadableStream(f"the stream {name} cannot be read: {error!r}")


def fold(stored: Stream) -> Aggregate:
    """Rebuild an aggregate from its snapshot, if it has one, and its events.

    Raises:
        TypeError: it is none.
    """
    aggregate = from_snapshot(stored.snapshot) if stored.snapshot else None
    for event in stored.events:
        aggregate = from_stored(event).mutate(aggregate)
    if not isinstance(aggregate, Aggregate):
        raise TypeError(f"the stream holds {type(aggregate).__name__}, not an aggregate")
    return aggregate


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the store until it answers.

    A batch whose outcome is unknown is sent again as it is: what was stored the first time comes
    back as a duplicate.
    """
    wait = 0.05
    while True:
        try:
            return await ask()
        except (StoreUnavailable, OutcomeUnknown) as error:
            log.warning("store does not answer", reason=str(error), again_in=wait)
        await asyncio.sleep(wait)
        wait = min(wait * 2, 1.0)
