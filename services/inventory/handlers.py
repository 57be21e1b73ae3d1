"""What inventory does about each message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from contracts import inventory
from contracts.values import MAX_AMOUNT, Line
from services.inventory.requests import Declaration, DeclareSku, ReceiveStock, StockLevel
from services.inventory.reservation import Reservation, Status, Units
from services.inventory.stock import StockItem
from stagepost.errors import NotFound, Unprocessable
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Answer, Message

OUT_OF_STOCK = "out of stock"
UNKNOWN_SKU = "unknown SKU"
RELEASED_BEFORE = "barred: released before"
NOTHING_RESERVED = "nothing is reserved"

MAX_RECEIVED = MAX_AMOUNT
"""So many units of one SKU at most: sums over all SKUs stay within a bigint."""


def declare_sku(request: DeclareSku, load: Load) -> Decision:
    """Deal in a SKU from now on."""
    item = load.one(StockItem, StockItem.stream(request.sku))
    if item is not None:
        return Decision(answer=_declaration(item, is_new=False))
    item = StockItem(sku=request.sku)
    return Decision((item,), answer=_declaration(item, is_new=True))


def receive_stock(request: ReceiveStock, load: Load) -> Decision:
    """Put units on the shelf; a correction takes none that are not there."""
    item = load.one(StockItem, StockItem.stream(request.sku))
    if item is None:
        raise NotFound(f"there is no SKU {request.sku!r}: declare it with PUT /stock/{request.sku}")
    if item.on_hand + request.quantity < 0:
        raise Unprocessable(
            f"only {item.on_hand} units of {request.sku!r} are on hand, "
            f"{-request.quantity} cannot be taken off",
            pointer="/quantity",
        )
    if item.received + request.quantity > MAX_RECEIVED:
        raise Unprocessable(
            f"with {request.quantity} units more of {request.sku!r} there would be "
            f"over {MAX_RECEIVED}",
            pointer="/quantity",
        )
    item.receive(quantity=request.quantity, note=request.note)
    return Decision((item,), answer=StockLevel.model_validate(item))


def reserve_stock(command: inventory.ReserveStock, load: Load) -> Decision:
    """Hold all of the goods, or none; a repetition only hears again what was decided."""
    reservation = load.one(Reservation, Reservation.stream(command.caller, command.reference))
    if reservation is not None:
        return Decision(sends=(outcome(reservation),))
    reservation, items = hold(command, load)
    return Decision((reservation, *items), (outcome(reservation),))


def fetch_goods(command: inventory.FetchGoods, load: Load) -> Decision:
    """Take the reserved goods off the shelf."""
    reservation = load.one(Reservation, Reservation.stream(command.caller, command.reference))
    fetched = inventory.GoodsFetched(**_address(command))
    match reservation:
        case Reservation(status=Status.RESERVED):
            items = _items_of(reservation, load)
            take(reservation, items)
            return Decision((reservation, *items), (fetched,))
        case Reservation(status=Status.FETCHED):
            return Decision(sends=(fetched,))
        case _:
            missing = inventory.GoodsMissing(**_address(command), reason=NOTHING_RESERVED)
            return Decision(sends=(missing,))


def release_stock(command: inventory.ReleaseStock, load: Load) -> Decision:
    """Put back what is held or fetched; where nothing is, see to it that it stays so."""
    reservation = load.one(Reservation, Reservation.stream(command.caller, command.reference))
    released = inventory.StockReleased(**_address(command))
    match reservation:
        case None:
            return Decision((Reservation.bar(**_address(command)),), (released,))
        case Reservation(status=Status.RESERVED | Status.FETCHED):
            items = _items_of(reservation, load)
            fetched = reservation.status is Status.FETCHED
            for units, item in zip(reservation.lines, items, strict=True):
                put_back = item.take_back if fetched else item.release
                put_back(**reservation.holder, quantity=units.quantity)
            reservation.release()
            return Decision((reservation, *items), (released,))
        case _:
            return Decision(sends=(released,))


def hold(command: inventory.ReserveStock, load: Load) -> tuple[Reservation, list[StockItem]]:
    """Make a reservation and hold its goods; or a rejected one, which holds none."""
    lines = _by_sku(command.lines)
    items = load.many(StockItem, [StockItem.stream(line.sku) for line in lines])
    missing = {
        line.sku: UNKNOWN_SKU if item is None else OUT_OF_STOCK
        for line, item in zip(lines, items, strict=True)
        if item is None or item.on_hand < line.quantity
    }
    if missing:
        return _reject(command, lines, missing), []
    reservation = Reservation(
        caller=command.caller, reference=command.reference, order_id=command.order_id, lines=lines
    )
    held = [item for item in items if item is not None]
    for line, item in zip(lines, held, strict=True):
        item.reserve(**reservation.holder, quantity=line.quantity)
    return reservation, held


def take(reservation: Reservation, items: Iterable[StockItem]) -> None:
    """Take what is held off the shelf."""
    for units, item in zip(reservation.lines, items, strict=True):
        item.fetch(**reservation.holder, quantity=units.quantity)
    reservation.fetch()


def outcome(reservation: Reservation) -> Answer:
    """Return the answer to ReserveStock."""
    match reservation.status:
        case Status.RESERVED | Status.FETCHED:
            return inventory.StockReserved(**_address(reservation))
        case Status.REJECTED:
            return inventory.StockRejected(**_address(reservation), reason=reservation.reason)
        case Status.RELEASED | Status.BARRED:
            return inventory.StockRejected(**_address(reservation), reason=RELEASED_BEFORE)


def _by_sku(lines: Iterable[Line]) -> tuple[Units, ...]:
    """Sum the lines of each SKU."""
    units: Counter[str] = Counter()
    for line in lines:
        units[line.sku] += line.quantity
    return tuple(Units(sku=sku, quantity=quantity) for sku, quantity in units.items())


def _reject(
    command: inventory.ReserveStock, lines: tuple[Units, ...], missing: Mapping[str, str]
) -> Reservation:
    """Say no to all for what is missing; the answer gives the reason for the first of it."""
    reason = next(iter(missing.values()))
    return Reservation.reject(
        **_address(command), lines=lines, reason=reason, missing=tuple(missing)
    )


def _items_of(reservation: Reservation, load: Load) -> list[StockItem]:
    """Load the stock of a reservation, in the order of its lines."""
    items = load.many(StockItem, [StockItem.stream(line.sku) for line in reservation.lines])
    return [item for item in items if item is not None]


def _address(
    of: Reservation | inventory.ReserveStock | inventory.FetchGoods | inventory.ReleaseStock,
) -> dict[str, str]:
    """Return what every answer carries: whose goods these are, and for which order."""
    return {"caller": of.caller, "reference": of.reference, "order_id": of.order_id}


def _declaration(item: StockItem, *, is_new: bool) -> Declaration:
    return Declaration(is_new=is_new, stock=StockLevel.model_validate(item))


HANDLERS: Mapping[type[Message], Handler] = {
    DeclareSku: declare_sku,
    ReceiveStock: receive_stock,
    inventory.ReserveStock: reserve_stock,
    inventory.FetchGoods: fetch_goods,
    inventory.ReleaseStock: release_stock,
}
