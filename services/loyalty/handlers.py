"""What loyalty does about each event. They come from two sources, in whatever order."""

from __future__ import annotations

from collections.abc import Mapping

from contracts import customers, loyalty, ordering
from services.loyalty.account import Account
from services.loyalty.points import points_for
from services.loyalty.purchase import Purchase
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Message


def customer_registered(event: customers.CustomerRegistered, load: Load) -> Decision:
    """Enrol the customer, and award what was put aside for them."""
    account = _account_of(event.customer_id, load)
    if account.is_enrolled:
        return Decision()
    account.enrol()
    return Decision((account,), _award(account, account.waiting))


def order_confirmed(event: ordering.OrderConfirmed, load: Load) -> Decision:
    """Count the order, once, and award its points: at once where the customer is enrolled."""
    if load.one(Purchase, Purchase.stream(event.order_id)) is not None:
        return Decision()
    account = _account_of(event.customer_id, load)
    points = points_for(event.amount)
    purchase = Purchase(order_id=event.order_id, customer_id=event.customer_id, points=points)
    if account.is_enrolled:
        told = _award(account, points)
    else:
        account.put_aside(points=points)
        told = ()
    return Decision((purchase, account), told)


def _account_of(customer_id: str, load: Load) -> Account:
    return load.one(Account, Account.stream(customer_id)) or Account(customer_id=customer_id)


def _award(account: Account, points: int) -> tuple[loyalty.PointsAwarded, ...]:
    """Award points, if there are any."""
    if not points:
        return ()
    account.award(points=points)
    return (
        loyalty.PointsAwarded(
            customer_id=account.customer_id, points=points, balance=account.balance
        ),
    )


HANDLERS: Mapping[type[Message], Handler] = {
    customers.CustomerRegistered: customer_registered,
    ordering.OrderConfirmed: order_confirmed,
}
