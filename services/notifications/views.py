"""What notifications shows: one row per notification. Whose address it went to stands nowhere."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.notifications.notification import About, Notification, Status
from stagepost.aggregate import DomainEvent
from stagepost.view import Recorded, Row, View


class NotificationRow(Row):
    """A notification; `position` is where its first event stands in the log."""

    stream: UUID
    id: str
    customer_id: str
    about: About
    reference: str
    status: Status = Status.REQUESTED
    said: str | None = None
    sha256: str | None = None
    reason: str | None = None
    position: int
    requested_at: datetime
    changed_at: datetime


def key_of(happened: DomainEvent) -> str | None:
    return str(happened.originator_id)


def fold(row: NotificationRow | None, recorded: Recorded) -> NotificationRow:
    """Bring a notification's row up to date with one event."""
    if row is None:
        return _begin(recorded)
    return row.changed(**_change(recorded.event), changed_at=recorded.recorded_at)


def _begin(recorded: Recorded) -> NotificationRow:
    first = recorded.event
    assert isinstance(first, Notification.Requested)
    return NotificationRow(
        stream=first.originator_id,
        id=first.notification_id,
        customer_id=first.customer_id,
        about=first.about,
        reference=first.reference,
        position=recorded.position,
        requested_at=recorded.recorded_at,
        changed_at=recorded.recorded_at,
    )


def _change(happened: DomainEvent) -> dict[str, object]:
    match happened:
        case Notification.Sent(said=said, sha256=sha256):
            return {"status": Status.SENT, "said": said, "sha256": sha256}
        case Notification.Failed(reason=reason):
            return {"status": Status.FAILED, "reason": reason}
        case Notification.RequestedAgain():
            return {"status": Status.REQUESTED, "reason": None}
        case _:
            return {}


VIEWS = (View(name="notifications", row=NotificationRow, key="stream", key_of=key_of, fold=fold),)
