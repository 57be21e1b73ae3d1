"""The row that shows where an order's process stands: the fold of its recorded reactions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

from contracts import ordering
from services.fulfillment.process import AnswersDue, SlaDue
from services.fulfillment.views import ProcessRow, fold, key_of
from stagepost.aggregate import DomainEvent
from stagepost.messages import example
from stagepost.process import Heard, Instance, Sent
from stagepost.view import Recorded

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLACED = example(ordering.OrderPlaced, order_id="10248", customer_id="VINET")


def story(*reactions: tuple[str, dict[str, Any]]) -> ProcessRow:
    """Fold a process that began at noon, and reacted once a second."""
    instance = Instance(
        process="fulfillment",
        key="10248",
        heard=Heard(type=PLACED.TYPE, version=1, body=PLACED.model_dump(mode="json")),
        state="AwaitingBoth",
        data={"order": PLACED.model_dump(mode="json")},
        sent=(Sent(type=AnswersDue.TYPE, delay=2), Sent(type=SlaDue.TYPE, delay=90)),
    )
    heard = Heard(type="x.Y", version=1, body={})
    for state, data in reactions:
        instance.react(heard=heard, state=state, data=data, sent=())
    log = [happened for happened in instance.collect_events() if isinstance(happened, DomainEvent)]
    assert {key_of(happened) for happened in log} == {str(instance.id)}
    row = reduce(fold, _recorded(log), None)
    assert row is not None
    return row


def _recorded(log: list[DomainEvent]) -> list[Recorded]:
    return [Recorded(7 + n, NOON + timedelta(seconds=n), event) for n, event in enumerate(log)]


def test_a_process_that_began_says_for_whom_and_by_when() -> None:
    row = story()

    assert (row.order_id, row.customer_id, row.state) == ("10248", "VINET", "AwaitingBoth")
    assert (row.started_at, row.due_at) == (NOON, NOON + timedelta(seconds=90))
    assert row.ended_at is None


def test_a_process_that_is_being_undone_says_why() -> None:
    row = story(("UndoingStock", {"reason": "no funds"}))

    assert (row.state, row.reason, row.ended_at) == ("UndoingStock", "no funds", None)


def test_a_process_that_ended_says_when() -> None:
    row = story(("Rejecting", {"reason": "no funds"}), ("Rejected", {"reason": "no funds"}))

    assert (row.state, row.reason) == ("Rejected", "no funds")
    assert row.ended_at == NOON + timedelta(seconds=2)


def test_its_place_in_the_list_never_changes() -> None:
    assert story(("AwaitingStock", {}), ("Fetching", {})).position == story().position == 7
