"""An aggregate from its snapshot is the one that all of its events make."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inventory.stock import StockItem
from stagepost.aggregate import Aggregate, FirstEvent, event, from_snapshot, to_snapshot, to_stored
from stagepost.engine.decisions import fold
from stagepost.engine.snapshots import taken
from stagepost.engine.store import Stream
from stagepost.errors import Misuse

QUANTITIES = st.integers(-(2**31), 2**31)
HELD = st.fixed_dictionaries({"caller": st.text(), "reference": st.text(), "quantity": QUANTITIES})
STEPS = st.one_of(
    st.tuples(
        st.just("receive"),
        st.fixed_dictionaries({"quantity": QUANTITIES, "note": st.none() | st.text()}),
    ),
    *(st.tuples(st.just(name), HELD) for name in ("reserve", "fetch", "release", "take_back")),
)


def changed(item: StockItem, steps: list[tuple[str, dict[str, Any]]]) -> StockItem:
    for name, arguments in steps:
        getattr(item, name)(**arguments)
    return item


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(STEPS, max_size=8),
    st.lists(STEPS, max_size=8),
)
def test_stock_from_a_snapshot_and_the_events_behind_it_is_what_all_events_make(
    sku: str, before: list[Any], behind: list[Any]
) -> None:
    item = changed(StockItem(sku=sku), before)
    events = [to_stored(e) for e in item.collect_events()]  # type: ignore[arg-type]  # ours
    snapshot = to_snapshot(item)
    tail = [to_stored(e) for e in changed(item, behind).collect_events()]  # type: ignore[arg-type]

    from_all = fold(Stream([*events, *tail]))

    assert fold(Stream(tail, snapshot)) == from_all
    assert from_all == item


def test_a_snapshot_is_what_the_aggregate_was_then() -> None:
    item = changed(StockItem(sku="chair"), [("receive", {"quantity": 5, "note": None})])
    snapshot = to_snapshot(item)
    item.reserve(caller="fulfillment", reference="1", quantity=2)

    then = from_snapshot(snapshot)

    assert isinstance(then, StockItem)
    assert (then.version, then.sku, then.on_hand, then.reserved, then.gone) == (2, "chair", 5, 0, 0)
    assert not then.pending_events


def test_a_snapshot_of_another_class_version_is_of_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = to_snapshot(StockItem(sku="chair"))
    monkeypatch.setattr(StockItem, "class_version", 2)
    with pytest.raises(ValueError, match=r"inventory\.StockItem is at version 2"):
        from_snapshot(snapshot)


def test_the_state_of_stock_is_this_and_else_its_class_version_must_be_raised() -> None:
    state = orjson.loads(to_snapshot(StockItem(sku="chair")).state)
    values = {"sku": "chair", "on_hand": 0, "reserved": 0, "gone": 0}
    assert state == {"class_version": 1, "values": values}


# What JSON cannot hold


class Colour(StrEnum):
    RED = "red"


class Bag(Aggregate):
    TOPIC = "test.Bag"
    SNAPSHOT_EVERY: ClassVar[int] = 1

    class Packed(FirstEvent):
        TOPIC = "test.Bag.Packed"
        content: Any

    @event(Packed)
    def __init__(self, content: Any) -> None:
        self.content = content


def packed(content: object) -> Bag:
    return Bag._create(Bag.Packed, id=uuid4(), content=content)


PLAIN: list[object] = [None, True, 1, 1.5, "é\n", [1, ["a"]], {"a": {"b": None}}, 2**63]


@pytest.mark.parametrize("content", PLAIN, ids=repr)
def test_plain_values_come_back_from_a_snapshot_as_they_were(content: object) -> None:
    bag = packed(content)
    bag.collect_events()
    assert from_snapshot(to_snapshot(bag)) == bag


NOT_PLAIN: list[object] = [
    *((1, 2), {1: 2}, Colour.RED, UUID(int=7)),
    *(2**64, float("nan"), {1}, "\ud800"),
]


@pytest.mark.parametrize("content", NOT_PLAIN, ids=ascii)
def test_what_json_would_change_is_no_snapshot_and_the_message_no_dead_letter(
    content: object,
) -> None:
    bag = packed(content)
    with pytest.raises(Misuse, match="Bag holds more than JSON gives back"):
        to_snapshot(bag)
    assert taken([bag], {}) == []


# When


@pytest.mark.parametrize(
    ("before", "after", "is_due"),
    [(98, 99, False), (99, 100, True), (99, 101, True), (100, 101, False), (0, 250, True)],
)
def test_a_snapshot_is_due_when_a_multiple_is_passed(
    before: int, after: int, *, is_due: bool
) -> None:
    item = StockItem(sku="chair")
    item.version = after
    snapshots = taken([item], {item.id: before})
    assert [s.originator_version for s in snapshots] == ([after] if is_due else [])


def test_no_snapshot_is_due_of_a_class_that_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StockItem, "SNAPSHOT_EVERY", 0)
    item = StockItem(sku="chair")
    item.version = 100
    assert taken([item], {item.id: 1}) == []
