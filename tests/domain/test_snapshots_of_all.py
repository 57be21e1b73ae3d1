"""Of every aggregate that keeps snapshots: with one or without, the same comes of its events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import given
from hypothesis import strategies as st

from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, to_snapshot, to_stored
from stagepost.engine.batch import Commit
from stagepost.engine.cache import Loadable
from stagepost.engine.decisions import fold, rebuild
from stagepost.engine.discovery import find_services
from stagepost.engine.store import Stream
from tests.engine.stores import MemoryWorld, append, heard

find_services()  # their aggregates are loaded by now
NOWHERE = uuid4()
INTEGERS = st.integers(-(2**53), 2**53)


def with_snapshots() -> Iterator[type[Aggregate]]:
    waiting: list[Any] = list(Aggregate.__subclasses__())
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.SNAPSHOT_EVERY and cls.__module__.startswith("services."):
            yield cls


KEEPERS = list(with_snapshots())


def bodies(cls: type[DomainEvent], aggregate: str) -> st.SearchStrategy[DomainEvent]:
    """Events of this class, with anything in their fields."""
    fields = {
        name: INTEGERS if field.annotation is int else st.from_type(field.annotation)  # type: ignore[arg-type]
        for name, field in cls.model_fields.items()
    }
    columns = {"originator_id": st.just(NOWHERE), "originator_version": st.just(1)}
    if issubclass(cls, FirstEvent):
        columns["originator_topic"] = st.just(aggregate)
    return st.builds(cls, **{**fields, **columns})


def streams(cls: type[Aggregate]) -> st.SearchStrategy[list[StoredEvent]]:
    """Streams of an aggregate: a first event, and any others behind it."""
    nested = [e for e in vars(cls).values() if isinstance(e, type) and issubclass(e, DomainEvent)]
    events = [e for e in nested if hasattr(e, "TOPIC")]
    first, others = (
        st.one_of(*(bodies(e, cls.TOPIC) for e in events if issubclass(e, FirstEvent) is begins))
        for begins in (True, False)
    )
    stream = st.tuples(first, st.lists(others, max_size=12))
    return stream.map(lambda drawn: numbered(drawn[0], *drawn[1]))


def numbered(*events: DomainEvent) -> list[StoredEvent]:
    stream = uuid4()
    return [
        replace(to_stored(event), originator_id=stream, originator_version=version)
        for version, event in enumerate(events, 1)
    ]


async def loaded(events: Sequence[StoredEvent], snapshot: StoredEvent) -> Loadable:
    """Load the aggregate as a service does that finds this snapshot."""
    store = MemoryWorld.new().store
    await append(store, Commit(heard(), events=events))
    await store.keep_snapshots([snapshot])
    name: Any = events[0].originator_id
    return (await rebuild(store, [name]))[name]


def test_there_are_aggregates_that_keep_snapshots() -> None:
    assert [cls.__name__ for cls in KEEPERS] == ["StockItem"]


@pytest.mark.parametrize("cls", KEEPERS)
@given(data=st.data())
def test_with_a_snapshot_or_without_the_same_is_loaded(
    cls: type[Aggregate], data: st.DataObject
) -> None:
    events = data.draw(streams(cls))
    at = data.draw(st.integers(1, len(events)))
    snapshot = to_snapshot(fold(Stream(events[:at])))
    assert asyncio.run(loaded(events, snapshot)) == fold(Stream(events))


USELESS = {
    "unknown topic": {"topic": "inventory.FromTheFuture"},
    "newer version": {"state": b'{"class_version":99,"values":{}}'},
    "no such fields": {"state": b"{}"},
    "damaged": {"state": b"\x00"},
    "an event's topic": {"topic": "inventory.StockItem.Declared"},
}


@pytest.mark.parametrize("cls", KEEPERS)
@pytest.mark.parametrize("harm", USELESS.values(), ids=USELESS)
@given(data=st.data())
def test_a_snapshot_of_no_use_is_ignored(
    cls: type[Aggregate], harm: dict[str, Any], data: st.DataObject
) -> None:
    events = data.draw(streams(cls))
    at = data.draw(st.integers(1, len(events)))
    snapshot = replace(to_snapshot(fold(Stream(events[:at]))), **harm)
    assert asyncio.run(loaded(events, snapshot)) == fold(Stream(events))
