"""What payments shows: one row per payment."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.payments.payment import Payment, Status
from stagepost.aggregate import DomainEvent
from stagepost.view import Recorded, Row, View


class PaymentRow(Row):
    """A payment: `received - refunded` is what we keep. `id` is the reference at the provider."""

    stream: UUID
    id: str
    order_id: str
    caller: str
    reference: str
    status: Status
    reason: str | None = None
    amount: int = 0
    received: int = 0
    refunded: int = 0
    currency: str | None = None
    requested_at: datetime
    changed_at: datetime


def key_of(happened: DomainEvent) -> str | None:
    return str(happened.originator_id)


def fold(row: PaymentRow | None, recorded: Recorded) -> PaymentRow:
    """Bring a payment's row up to date with one event."""
    if row is None:
        return _begin(recorded)
    return row.changed(**_change(row, recorded.event), changed_at=recorded.recorded_at)


def _begin(recorded: Recorded) -> PaymentRow:
    first = recorded.event
    assert isinstance(first, Payment.Requested | Payment.Barred)
    row = PaymentRow(
        stream=first.originator_id,
        id=f"{first.caller}/{first.reference}",
        order_id=first.order_id,
        caller=first.caller,
        reference=first.reference,
        status=Status.BARRED,
        requested_at=recorded.recorded_at,
        changed_at=recorded.recorded_at,
    )
    if isinstance(first, Payment.Barred):
        return row
    return row.changed(status=Status.REQUESTED, amount=first.amount, currency=first.currency)


def _change(row: PaymentRow, happened: DomainEvent) -> dict[str, object]:
    match happened:
        case Payment.Received():
            return {"status": Status.RECEIVED, "received": row.amount}
        case Payment.Declined():
            return {"status": Status.DECLINED, "reason": happened.reason}
        case Payment.RefundRequested():
            return {"status": Status.REFUNDING}
        case Payment.Refunded():
            # What is given back had been taken, even where the charge's answer never came.
            received = max(row.received, happened.amount)
            return {"status": Status.REFUNDED, "received": received, "refunded": happened.amount}
        case _:
            return {}


VIEWS = (View(name="payments", row=PaymentRow, key="stream", key_of=key_of, fold=fold),)
