"""What inventory shows: one row per SKU, one per reservation."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.inventory.reservation import Reservation, Status, Units
from services.inventory.stock import StockItem
from stagepost.aggregate import DomainEvent
from stagepost.view import Recorded, Row, View


class StockRow(Row):
    """Where the units of one SKU are: received = on_hand + reserved + gone."""

    stream: UUID
    sku: str
    received: int = 0
    on_hand: int = 0
    reserved: int = 0
    gone: int = 0


class ReservationRow(Row):
    """What is, or was, held for one (caller, reference)."""

    stream: UUID
    id: str
    order_id: str
    caller: str
    reference: str
    status: Status
    reason: str | None = None
    lines: tuple[Units, ...] = ()
    reserved_at: datetime
    changed_at: datetime


def stock_key(happened: DomainEvent) -> str | None:
    return str(happened.originator_id) if happened.TOPIC.startswith(StockItem.TOPIC) else None


def fold_stock(row: StockRow | None, recorded: Recorded) -> StockRow:
    """Bring a SKU's row up to date with one event."""
    happened = recorded.event
    if row is None:
        assert isinstance(happened, StockItem.Declared)
        return StockRow(stream=happened.originator_id, sku=happened.sku)
    match happened:
        case StockItem.Received():
            return _moved(row, received=happened.quantity, on_hand=happened.quantity)
        case StockItem.Reserved():
            return _moved(row, on_hand=-happened.quantity, reserved=happened.quantity)
        case StockItem.Fetched():
            return _moved(row, reserved=-happened.quantity, gone=happened.quantity)
        case StockItem.Released():
            return _moved(row, reserved=-happened.quantity, on_hand=happened.quantity)
        case StockItem.Returned():
            return _moved(row, gone=-happened.quantity, on_hand=happened.quantity)
        case _:
            return row


def _moved(row: StockRow, **units: int) -> StockRow:
    return row.changed(**{place: getattr(row, place) + more for place, more in units.items()})


def reservation_key(happened: DomainEvent) -> str | None:
    return str(happened.originator_id) if happened.TOPIC.startswith(Reservation.TOPIC) else None


def fold_reservation(row: ReservationRow | None, recorded: Recorded) -> ReservationRow:
    """Bring a reservation's row up to date with one event."""
    if row is None:
        return _begin(recorded)
    return row.changed(**_change(recorded.event), changed_at=recorded.recorded_at)


def _begin(recorded: Recorded) -> ReservationRow:
    first = recorded.event
    assert isinstance(first, Reservation.Made | Reservation.Rejected | Reservation.Barred)
    row = ReservationRow(
        stream=first.originator_id,
        id=f"{first.caller}/{first.reference}",
        order_id=first.order_id,
        caller=first.caller,
        reference=first.reference,
        status=Status.BARRED,
        reserved_at=recorded.recorded_at,
        changed_at=recorded.recorded_at,
    )
    match first:
        case Reservation.Made():
            return row.changed(status=Status.RESERVED, lines=first.lines)
        case Reservation.Rejected():
            return row.changed(status=Status.REJECTED, lines=first.lines, reason=first.reason)
        case _:
            return row


def _change(happened: DomainEvent) -> dict[str, object]:
    match happened:
        case Reservation.Fetched():
            return {"status": Status.FETCHED}
        case Reservation.Released():
            return {"status": Status.RELEASED}
        case _:
            return {}


VIEWS = (
    View(name="stock", row=StockRow, key="stream", key_of=stock_key, fold=fold_stock),
    View(
        name="reservations",
        row=ReservationRow,
        key="stream",
        key_of=reservation_key,
        fold=fold_reservation,
    ),
)
