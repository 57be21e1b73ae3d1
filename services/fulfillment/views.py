"""What fulfillment shows: one row per order's process."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from services.fulfillment.process import SlaDue, order_fulfillment
from stagepost.aggregate import DomainEvent
from stagepost.process import Instance
from stagepost.view import Recorded, Row, View

ENDS = frozenset(state.__name__ for state in order_fulfillment.done)


class ProcessRow(Row):
    """A process; `position` is where its first event stands in the log: the order of starting.

    Whether it is overdue depends on the time of the question, so that no row says it.
    """

    stream: UUID
    order_id: str
    customer_id: str
    state: str
    reason: str | None = None
    position: int
    started_at: datetime
    due_at: datetime
    ended_at: datetime | None = None


def key_of(happened: DomainEvent) -> str | None:
    return str(happened.originator_id)


def fold(row: ProcessRow | None, recorded: Recorded) -> ProcessRow:
    """Bring a process's row up to date with one reaction."""
    if row is None:
        return _begin(recorded)
    reacted = recorded.event
    assert isinstance(reacted, Instance.Reacted)
    ended_at = recorded.recorded_at if reacted.state in ENDS else None
    reason = reacted.data.get("reason")
    return row.changed(state=reacted.state, reason=reason, ended_at=ended_at)


def _begin(recorded: Recorded) -> ProcessRow:
    started = recorded.event
    assert isinstance(started, Instance.Started)
    return ProcessRow(
        stream=started.originator_id,
        order_id=started.key,
        customer_id=started.heard.body["customer_id"],
        state=started.state,
        position=recorded.position,
        started_at=recorded.recorded_at,
        due_at=recorded.recorded_at + _service_level(started),
    )


def _service_level(started: Instance.Started) -> timedelta:
    """Return how long the order may take: the delay that was set when it started."""
    delays = {sent.type: sent.delay for sent in started.sent}
    return timedelta(seconds=delays[SlaDue.TYPE] or 0)


VIEWS = (View(name="processes", row=ProcessRow, key="stream", key_of=key_of, fold=fold),)
