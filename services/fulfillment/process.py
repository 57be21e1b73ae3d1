"""Order fulfillment: take the money and hold the stock, fetch, ship, confirm; or undo it all.

Payment and stock are asked for at once, and both must answer in time. What fails before the
parcel leaves is undone, and only then is the order rejected: a rejected order holds nothing.
`flow.mmd` is the drawing of `react`, made from it.
"""

from __future__ import annotations

from contracts import fulfillment, inventory, ordering, payments, shipping
from contracts.values import OrderId, because
from services.fulfillment.commands import (
    CALLER,
    confirm_order,
    fetch_goods,
    refund_payment,
    reject_order,
    release_stock,
    reserve_stock,
    retrieve_payment,
    ship_goods,
    unanswered,
)
from services.fulfillment.states import (
    AwaitingBoth,
    AwaitingPayment,
    AwaitingStock,
    Confirmed,
    Confirming,
    Fetching,
    New,
    Recallable,
    Rejected,
    Rejecting,
    Shipping,
    ShippingCancelled,
    Underway,
    UndoingBoth,
    UndoingPayment,
    UndoingStock,
)
from stagepost.messages import Message, Request, Timer
from stagepost.process import Process, Reaction, State, ignore, move, stay

BY_OPERATOR = "cancelled by the operator"


class AnswersDue(Timer):
    """Payment and stock must have answered by now."""

    DELAY = 900
    order_id: OrderId


class GoodsDue(Timer):
    """The goods must be off the shelf by now."""

    DELAY = 900
    order_id: OrderId


class SlaDue(Timer):
    """The order must have ended by now: the service level that we promise."""

    DELAY = 3600
    order_id: OrderId


class Retry(Request):
    """The operator has everything asked again that is not answered yet."""

    order_id: OrderId


class Cancel(Request):
    """The operator gives the order up."""

    order_id: OrderId


def react(state: State, message: Message) -> Reaction[State]:
    """One case, one arrow: where we stand and what we hear, where we go and what we send."""
    match state, message:
        # All goes well: payment and stock in either order, then the goods, then the parcel.
        case New(), ordering.OrderPlaced() as order:
            asks = retrieve_payment(order), reserve_stock(order)
            return move(AwaitingBoth(order=order), *asks, *time_frame(order))
        case AwaitingBoth(order), payments.PaymentReceived():
            return move(AwaitingStock(order=order))
        case AwaitingBoth(order), inventory.StockReserved():
            return move(AwaitingPayment(order=order))
        case AwaitingStock(order), inventory.StockReserved():
            return fetch(order)
        case AwaitingPayment(order), payments.PaymentReceived():
            return fetch(order)
        case Fetching(order), inventory.GoodsFetched():
            return move(Shipping(order=order), ship_goods(order))
        case Shipping(order), shipping.GoodsShipped():
            return confirm(order, too_late=False)

        # Somebody refuses: what was done, or may have been, is undone.
        case AwaitingBoth(order) | AwaitingPayment(order), payments.PaymentDeclined(reason=reason):
            return move(UndoingStock(order=order, reason=reason), release_stock(order))
        case AwaitingBoth(order) | AwaitingStock(order), inventory.StockRejected(reason=said):
            reason = because("stock", said)
            return move(UndoingPayment(order=order, reason=reason), refund_payment(order))
        case Fetching(order), inventory.GoodsMissing(reason=said):
            return undo(order, because("goods", said))
        case Shipping(order), shipping.ShipmentRefused(reason=said):
            return undo(order, because("shipment", said))

        # Somebody is late: an answer that comes after all finds the undo on its way.
        case AwaitingBoth(order), AnswersDue():
            return undo(order, "timed out waiting for payment and stock")
        case AwaitingPayment(order), AnswersDue():
            return undo(order, "timed out waiting for payment")
        case AwaitingStock(order), AnswersDue():
            return undo(order, "timed out waiting for stock")
        case Fetching(order), GoodsDue():
            return undo(order, "timed out waiting for goods")

        # Somebody cancels: until the carrier is asked that is the end; then its answer decides.
        case Recallable(order), ordering.OrderCancellationRequested():
            return undo(order, ordering.BY_CUSTOMER)
        case Recallable(order), Cancel():
            return undo(order, BY_OPERATOR)
        case Shipping(order), ordering.OrderCancellationRequested():
            return move(ShippingCancelled(order=order, reason=ordering.BY_CUSTOMER))
        case Shipping(order), Cancel():
            return move(ShippingCancelled(order=order, reason=BY_OPERATOR))
        case ShippingCancelled(order), shipping.GoodsShipped():
            return confirm(order, too_late=True)
        case ShippingCancelled(order, reason), shipping.ShipmentRefused():
            return undo(order, reason)

        # The undo is over when everybody asked has said so; only then is the order rejected.
        case UndoingBoth(order, reason), payments.PaymentRefunded():
            return move(UndoingStock(order=order, reason=reason))
        case UndoingBoth(order, reason), inventory.StockReleased():
            return move(UndoingPayment(order=order, reason=reason))
        case UndoingPayment(order, reason), payments.PaymentRefunded():
            return reject(order, reason)
        case UndoingStock(order, reason), inventory.StockReleased():
            return reject(order, reason)

        # Whatever we asked of it, ordering answers how the order ended.
        case Confirming() | Rejecting(), ordering.OrderConfirmed():
            return move(Confirmed())
        case Confirming() | Rejecting(), ordering.OrderRejected(reason=reason):
            return move(Rejected(reason=reason))

        # Until then an order can be overdue, and an operator can have it all asked again.
        case Underway(order), SlaDue():
            return stay(state, overdue(order, state))
        case Underway(), Retry():
            return stay(state, *unanswered(state))
        case _:
            return ignore(state)  # late, or repeated: recorded, nothing to do


def time_frame(order: ordering.OrderPlaced) -> tuple[Timer, ...]:
    return AnswersDue(order_id=order.order_id), SlaDue(order_id=order.order_id)


def fetch(order: ordering.OrderPlaced) -> Reaction[State]:
    """Paid and reserved."""
    return move(Fetching(order=order), fetch_goods(order), GoodsDue(order_id=order.order_id))


def confirm(order: ordering.OrderPlaced, *, too_late: bool) -> Reaction[State]:
    """Pass the point of no return: the parcel left."""
    state = Confirming(order=order, cancellation_too_late=too_late)
    return move(state, confirm_order(order, too_late=too_late))


def undo(order: ordering.OrderPlaced, reason: str) -> Reaction[State]:
    """Whatever was taken or held comes back, and nothing is taken or held from now on."""
    state = UndoingBoth(order=order, reason=reason)
    return move(state, refund_payment(order), release_stock(order))


def reject(order: ordering.OrderPlaced, reason: str) -> Reaction[State]:
    """Nothing is taken or held any more."""
    return move(Rejecting(order=order, reason=reason), reject_order(order, reason))


def overdue(order: ordering.OrderPlaced, state: State) -> fulfillment.FulfillmentOverdue:
    return fulfillment.FulfillmentOverdue(order_id=order.order_id, state=type(state).__name__)


order_fulfillment = Process[State](
    name=CALLER,
    initial=New(),
    react=react,
    starts_on=ordering.OrderPlaced,
    listens_to=(
        *(payments.PaymentReceived, payments.PaymentDeclined, payments.PaymentRefunded),
        *(inventory.StockReserved, inventory.StockRejected, inventory.StockReleased),
        *(inventory.GoodsFetched, inventory.GoodsMissing),
        *(shipping.GoodsShipped, shipping.ShipmentRefused),
        *(ordering.OrderConfirmed, ordering.OrderRejected, ordering.OrderCancellationRequested),
        *(AnswersDue, GoodsDue, SlaDue),
        *(Retry, Cancel),
    ),
    states=(
        *(New, AwaitingBoth, AwaitingPayment, AwaitingStock, Fetching),
        *(Shipping, ShippingCancelled, Confirming),
        *(UndoingBoth, UndoingPayment, UndoingStock, Rejecting),
        *(Confirmed, Rejected),
    ),
    done=(Confirmed, Rejected),
    due=SlaDue,
)
