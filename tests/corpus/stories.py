"""What happens in the corpus: the messages after which each event of each service has happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from contracts import customers, inventory, notifications, ordering, payments, shipping
from contracts.values import Line
from services.customers.handlers import HANDLERS as CUSTOMERS
from services.customers.process import LetterDue, onboarding
from services.customers.requests import ChangeCustomer, RegisterCustomer
from services.fulfillment.process import AnswersDue, order_fulfillment
from services.inventory.choreography import HANDLERS as INVENTORY_ALONE
from services.inventory.handlers import HANDLERS as INVENTORY
from services.inventory.requests import DeclareSku, ReceiveStock
from services.loyalty.handlers import HANDLERS as LOYALTY
from services.notifications.handlers import HANDLERS as NOTIFICATIONS
from services.notifications.mail import Mail, Mailed, Proof
from services.ordering.handlers import HANDLERS as ORDERING
from services.ordering.order import OrderLine
from services.ordering.requests import PlaceOrder, RequestCancellation
from services.payments import provider
from services.payments.handlers import HANDLERS as PAYMENTS
from services.shipping import carrier
from services.shipping.choreography import HANDLERS as SHIPPING_ALONE
from services.shipping.handlers import HANDLERS as SHIPPING
from stagepost.handler import Handler
from stagepost.messages import Message
from stagepost.process import Process
from stagepost.testing import given

Story = tuple[Mapping[type[Message], Handler] | Process[Any], Sequence[Message]]

ADA = {"customer_id": "ada"}
LINES = (Line(sku="red-chair", quantity=2), Line(sku="desk-lamp", quantity=1))
GOODS = {"lines": LINES, "ship_to": "1 Station Road"}
MONEY = {"amount": 2599, "currency": "EUR"}
PROOF = Proof(said="2.0.0 Ok", sha256="0" * 64)
NO_MAILBOX = "550 no such mailbox"


def asked(order: str) -> dict[str, str]:
    """Who asks for what is done about an order, and under which reference."""
    return {"caller": "fulfillment", "reference": order, "order_id": order}


def ordered(order: str) -> PlaceOrder:
    chairs = OrderLine(sku="red-chair", quantity=2, unit_price=Decimal("1299.5"))
    rest = {"currency": "EUR", "payment_token": "tok_ok", "ship_to": "1 Station Road"}
    return PlaceOrder(order_id=order, **ADA, lines=(chairs,), **rest)


def placed(order: str) -> ordering.OrderPlaced:
    return ordering.OrderPlaced(order_id=order, **ADA, **MONEY, **GOODS, payment_token="tok_ok")


def confirmed(order: str, customer: str = "ada") -> ordering.OrderConfirmed:
    return ordering.OrderConfirmed(**asked(order), **MONEY, customer_id=customer)


def charged(order: str, **answer: object) -> tuple[Message, Message]:
    """The wish for money, and what the provider says to it."""
    money = {**MONEY, "payment_token": "tok_ok"}
    charge = provider.Charge(order_id=order, reference=f"fulfillment/{order}", **money)
    retrieve = payments.RetrievePayment(**asked(order), **money)
    return retrieve, provider.Charged(call=charge, **answer)


def refunded(order: str) -> tuple[Message, Message]:
    """The wish to give it back, and that it was."""
    refund = provider.Refund(order_id=order, reference=f"fulfillment/{order}", owed=(2599,))
    return payments.RefundPayment(**asked(order)), provider.Refunded(call=refund, amount=2599)


def dispatched(order: str, **answer: object) -> tuple[Message, Message]:
    """The wish to ship, and what the carrier says to it."""
    dispatch = carrier.Dispatch(order_id=order, reference=f"fulfillment/{order}", **GOODS)
    return shipping.ShipGoods(**asked(order), **GOODS), carrier.Dispatched(call=dispatch, **answer)


def mailed(who: str, **answer: object) -> tuple[Message, Message]:
    """The wish for a letter, and what the mail server says to it."""
    ask = notifications.SendWelcomeLetter(customer_id=who, caller="customers", reference=who)
    (mail,) = given(NOTIFICATIONS).when(ask).sent
    assert isinstance(mail, Mail)
    return ask, Mailed(call=mail, **answer)


SHELF = tuple(
    message
    for line in LINES
    for message in (
        DeclareSku(sku=line.sku),
        ReceiveStock(sku=line.sku, quantity=6, note="from Reims"),
        ReceiveStock(sku=line.sku, quantity=-1),
    )
)
UNKNOWN = Line(sku="no-such", quantity=1)
MANY_LAMPS = Line(sku="desk-lamp", quantity=50)

STORIES: dict[str, Sequence[Story]] = {
    "ordering": [
        (ORDERING, [ordered("1"), ordering.ConfirmOrder(**asked("1"))]),
        (
            ORDERING,
            [
                ordered("2"),
                RequestCancellation(order_id="2"),
                ordering.RejectOrder(**asked("2"), reason="cancelled by the customer"),
            ],
        ),
        (
            ORDERING,
            [
                ordered("3"),
                RequestCancellation(order_id="3"),
                ordering.ConfirmOrder(**asked("3"), cancellation_too_late=True),
            ],
        ),
    ],
    "payments": [
        (PAYMENTS, [*charged("1", accepted=True, charge_id="ch-1", **MONEY), *refunded("1")]),
        (PAYMENTS, charged("2", accepted=False, reason="no funds")),
        (PAYMENTS, [payments.RefundPayment(**asked("3"))]),
        (PAYMENTS, [charged("4", accepted=False, reason="late")[0], *refunded("4")]),
    ],
    "inventory": [
        (
            INVENTORY,
            [
                *SHELF,
                *(inventory.ReserveStock(**asked(order), lines=LINES) for order in "12"),
                *(inventory.FetchGoods(**asked(order)) for order in "12"),
                inventory.ReleaseStock(**asked("2")),
                inventory.ReserveStock(**asked("3"), lines=LINES),
                *(inventory.ReleaseStock(**asked(order)) for order in "34"),
                inventory.ReserveStock(**asked("5"), lines=(UNKNOWN, MANY_LAMPS)),
                inventory.ReserveStock(**asked("6"), lines=(MANY_LAMPS, *LINES)),
            ],
        ),
        (
            INVENTORY_ALONE,
            [
                ordering.OrderCancellationRequested(order_id="7"),
                placed("7"),
                payments.PaymentReceived(**ordering.of_order("7"), **MONEY),
            ],
        ),
    ],
    "shipping": [
        (SHIPPING, dispatched("1", accepted=True, tracking="trk-1")),
        (SHIPPING, dispatched("2", accepted=False, reason="no such road")),
        (
            SHIPPING_ALONE,
            [
                ordering.OrderCancellationRequested(order_id="3"),
                placed("3"),
                inventory.GoodsFetched(**ordering.of_order("3")),
            ],
        ),
    ],
    "fulfillment": [
        (
            order_fulfillment,
            [
                placed("1"),
                payments.PaymentReceived(**asked("1"), **MONEY),
                inventory.StockReserved(**asked("1")),
                inventory.GoodsFetched(**asked("1")),
                shipping.GoodsShipped(**asked("1"), tracking="trk-1"),
                confirmed("1"),
            ],
        ),
        (
            order_fulfillment,
            [
                placed("2"),
                payments.PaymentReceived(**asked("2"), **MONEY),
                inventory.StockRejected(**asked("2"), reason="out of stock"),
            ],
        ),
        (order_fulfillment, [placed("3"), AnswersDue(order_id="3")]),
    ],
    "customers": [
        (
            CUSTOMERS,
            [
                RegisterCustomer(**ADA, name="Ada Lovelace", email="ada@example.org"),
                ChangeCustomer(**ADA, seen=None, email="king@example.org"),
                RegisterCustomer(customer_id="eve", name="Eve", email="ada@example.org"),
            ],
        ),
        (
            onboarding,
            [
                customers.CustomerRegistered(**ADA),
                LetterDue(**ADA),
                notifications.WelcomeLetterSent(
                    **ADA, caller="customers", reference="ada", **PROOF.model_dump()
                ),
            ],
        ),
    ],
    "loyalty": [
        (
            LOYALTY,
            [
                confirmed("1"),
                customers.CustomerRegistered(**ADA),
                confirmed("2"),
                confirmed("3", "eve"),
            ],
        ),
    ],
    "notifications": [
        (NOTIFICATIONS, mailed("ada", proof=PROOF)),
        (NOTIFICATIONS, [*mailed("eve", reason=NO_MAILBOX), mailed("eve", reason=NO_MAILBOX)[0]]),
        (
            NOTIFICATIONS,
            [ordering.OrderRejected(**asked("1"), customer_id="ada", reason="out of stock")],
        ),
    ],
}
