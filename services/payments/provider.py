"""What payments asks the payment provider, and what the provider answers.

The provider knows a charge by our reference, `<caller>/<reference>`.
"""

from __future__ import annotations

from contracts.values import Amount
from stagepost.messages import Call, CallAnswer, Text


class Charge(Call):
    """Charge the card with this amount."""

    TO = "provider"
    PATH = "/charges"
    LANE = "reference"
    order_id: str
    reference: str
    amount: int
    currency: str
    payment_token: str


class Charged(CallAnswer):
    """The card was charged; or it was not, and the reason says why."""

    call: Charge
    accepted: bool
    charge_id: Text | None = None
    reason: Text | None = None


class Refund(Call):
    """Give back what was charged under the reference, and charge nothing under it from now on.

    It makes a charge that still waits for its answer void: this answer says what was taken.
    """

    TO = "provider"
    PATH = "/refunds"
    LANE = "reference"
    SUPERSEDES = True
    order_id: str
    reference: str


class Refunded(CallAnswer):
    """This much was given back; 0 where nothing had been charged."""

    call: Refund
    amount: Amount


Charge.ANSWER = Charged
Refund.ANSWER = Refunded
