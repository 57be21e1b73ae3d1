"""What payments can be asked, and what it tells. It knows money by (caller, reference)."""

from __future__ import annotations

from contracts.values import Amount, Currency, OrderId, Token
from stagepost.messages import Answer, Command, Refusal


class RetrievePayment(Command):
    """Take this amount once for (caller, reference), however often it is asked."""

    order_id: OrderId
    amount: Amount
    currency: Currency
    payment_token: Token


class RefundPayment(Command):
    """Give back whatever was taken for (caller, reference), and take nothing for it from now on."""

    NEVER_REFUSED = "where nothing was taken, nothing is given back, and that is the answer"
    order_id: OrderId


class PaymentReceived(Answer, to=RetrievePayment):
    """The money is ours."""

    order_id: OrderId
    amount: Amount
    currency: Currency


class PaymentDeclined(Refusal, to=RetrievePayment):
    """The money was not taken, and will not be."""

    order_id: OrderId


class PaymentRefunded(Answer, to=RefundPayment):
    """What was taken is given back; `amount` is 0 where nothing had been taken."""

    order_id: OrderId
    amount: Amount
