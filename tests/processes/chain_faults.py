"""Faults in the reactions of one service: each must be found by walking every story.

Each takes the place of one handler; what it must be found by stands beside it.
"""

from __future__ import annotations

from contracts import inventory, ordering, payments, shipping
from services.inventory import heard as inventory_heard
from services.inventory.choreography import HANDLERS as INVENTORY
from services.inventory.handlers import release_stock
from services.inventory.reservation import Reservation
from services.ordering.handlers import confirm_order, order_of, reject_order
from services.ordering.order import Status
from services.payments.choreography import HANDLERS as PAYMENTS
from services.payments.handlers import call_off, refund_payment, retrieve_payment
from services.payments.payment import Payment
from services.payments.payment import Status as Paid
from services.shipping import carrier
from services.shipping import heard as shipping_heard
from services.shipping.choreography import HANDLERS as SHIPPING
from services.shipping.handlers import ship_goods
from services.shipping.parcel import Parcel
from services.shipping.parcel import Status as Sent
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Message
from tests.processes.parties import ORDER_ID

ADDRESS = ordering.of_order(ORDER_ID)
MINE = ADDRESS["caller"], ADDRESS["reference"]


def nothing(event: Message, load: Load) -> Decision:
    return Decision()


def declines_but_lets_it_be_charged(event: Message, load: Load) -> Decision:
    payment = load.one(Payment, Payment.stream(*MINE))
    if payment is None or payment.status is not Paid.REQUESTED:
        return Decision()
    payment.decline(reason="cancelled")
    return Decision((payment,), (payments.PaymentDeclined(**ADDRESS, reason="cancelled"),))


def takes_back_what_others_build_on(event: Message, load: Load) -> Decision:
    payment = load.one(Payment, Payment.stream(*MINE))
    if payment is None or payment.status is not Paid.RECEIVED:
        return PAYMENTS[type(event)](event, load)
    return call_off(payment, "cancelled")


def forgets_what_came_early(event: Message, load: Load) -> Decision:
    known = load.one(inventory_heard.HeardOrder, inventory_heard.HeardOrder.stream(ORDER_ID))
    return Decision() if known is None else INVENTORY[type(event)](event, load)


def forgets_the_goods_that_came_early(event: Message, load: Load) -> Decision:
    known = load.one(shipping_heard.HeardOrder, shipping_heard.HeardOrder.stream(ORDER_ID))
    return Decision() if known is None else SHIPPING[type(event)](event, load)


def puts_back_what_was_sent_on(event: Message, load: Load) -> Decision:
    goods = load.one(Reservation, Reservation.stream(*MINE))
    if goods is None:
        return INVENTORY[type(event)](event, load)
    return release_stock(inventory.ReleaseStock(**ADDRESS), load)


def calls_the_parcel_back(event: Message, load: Load) -> Decision:
    parcel = load.one(Parcel, Parcel.stream(*MINE))
    if parcel is None or parcel.status is not Sent.REQUESTED:
        return SHIPPING[type(event)](event, load)
    parcel.refuse(reason="cancelled")
    return Decision((parcel,), (shipping.ShipmentRefused(**ADDRESS, reason="cancelled"),))


def ships_what_is_not_paid(event: ordering.OrderPlaced, load: Load) -> Decision:
    if load.one(Parcel, Parcel.stream(*MINE)):
        return Decision()
    command = shipping.ShipGoods(**ADDRESS, lines=event.lines, ship_to=event.ship_to)
    return ship_goods(command, load)


def ships_whatever_it_hears(event: Message, load: Load) -> Decision:
    parcel = load.one(Parcel, Parcel.stream(*MINE))
    if parcel is None:
        return SHIPPING[type(event)](event, load)
    again = carrier.Dispatch(
        order_id=ORDER_ID, reference="ordering/10248", lines=parcel.lines, ship_to=parcel.ship_to
    )
    return Decision(sends=(again,))


def confirms_without_a_word(event: Message, load: Load) -> Decision:
    order = order_of(event, load)
    if order.status is not Status.PLACED:
        return Decision()
    order.confirm(cancellation_too_late=False)
    return Decision((order,))


def rejects_for_any_reason(event: payments.PaymentDeclined, load: Load) -> Decision:
    if order_of(event, load).status is not Status.PLACED:
        return Decision()
    return reject_order(ordering.RejectOrder(**ADDRESS, reason="declined"), load)


def confirms_what_was_refused(event: Message, load: Load) -> Decision:
    if order_of(event, load).status is not Status.PLACED:
        return Decision()
    return confirm_order(ordering.ConfirmOrder(**ADDRESS), load)


def charges_as_told(event: ordering.OrderPlaced, load: Load) -> Decision:
    command = payments.RetrievePayment(
        **ADDRESS, amount=event.amount, currency=event.currency, payment_token=event.payment_token
    )
    return retrieve_payment(command, load)


def gives_back_as_told(event: Message, load: Load) -> Decision:
    return refund_payment(payments.RefundPayment(**ADDRESS), load)


CANCELLED = ordering.OrderCancellationRequested
FAULTS: list[tuple[str, type[Message], Handler, str]] = [
    # What others count on is not done.
    ("payments", CANCELLED, nothing, "cancelled in time, and confirmed"),
    ("inventory", CANCELLED, nothing, "cancelled in time, and confirmed"),
    ("shipping", CANCELLED, nothing, "cancelled in time, and confirmed"),
    ("payments", inventory.StockRejected, nothing, "rejected, and money is held"),
    ("payments", shipping.ShipmentRefused, nothing, "rejected, and money is held"),
    ("inventory", shipping.ShipmentRefused, nothing, "rejected, and stock is held"),
    ("ordering", payments.PaymentDeclined, nothing, "never ends"),
    ("ordering", inventory.StockRejected, nothing, "never ends"),
    ("ordering", shipping.ShipmentRefused, nothing, "never ends"),
    ("ordering", shipping.GoodsShipped, nothing, "never ends"),
    # What comes early is lost.
    ("inventory", payments.PaymentReceived, forgets_what_came_early, "never ends"),
    ("shipping", inventory.GoodsFetched, forgets_the_goods_that_came_early, "never ends"),
    # What is too late is done.
    ("payments", CANCELLED, declines_but_lets_it_be_charged, "rejected, and money is held"),
    ("payments", CANCELLED, takes_back_what_others_build_on, "rejected, and shipped"),
    ("inventory", CANCELLED, puts_back_what_was_sent_on, "confirmed, and the goods are not gone"),
    ("shipping", CANCELLED, calls_the_parcel_back, "rejected, and shipped"),
    ("shipping", ordering.OrderPlaced, ships_what_is_not_paid, "rejected, and shipped"),
    # The customer is told something else.
    (
        "ordering",
        shipping.GoodsShipped,
        confirms_without_a_word,
        "confirmed, and the customer does not know that the cancellation came too late",
    ),
    (
        "ordering",
        payments.PaymentDeclined,
        rejects_for_any_reason,
        "rejected, and the reason is another",
    ),
    (
        "ordering",
        shipping.ShipmentRefused,
        confirms_what_was_refused,
        "confirmed, and not shipped once",
    ),
    # What was done is done again.
    ("payments", ordering.OrderPlaced, charges_as_told, "payments acts on a repetition"),
    ("payments", shipping.ShipmentRefused, gives_back_as_told, "payments acts on a repetition"),
    ("shipping", inventory.GoodsFetched, ships_whatever_it_hears, "shipped twice"),
]
