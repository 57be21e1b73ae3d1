"""What payments asks the payment provider, and what the provider answers.

The provider knows a charge by our reference, `<caller>/<reference>`. What it says about money must
be what was asked; else it is no answer. So the call waits, visibly, and is made again and again:
nothing is booked on the word of a provider that took or gave back another amount.
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from contracts.values import Amount
from stagepost.messages import Call, CallAnswer, Text


class Charge(Call):
    """Charge the card with this amount."""

    TO = "provider"
    PATH = "/charges"
    LANE = "reference"
    ONCE = True
    order_id: str
    reference: str
    amount: int
    currency: str
    payment_token: str


class Charged(CallAnswer):
    """The card was charged, with this amount; or it was not, and the reason says why."""

    call: Charge
    accepted: bool
    charge_id: Text | None = None
    reason: Text | None = None
    amount: Amount | None = None
    currency: Text | None = None

    @model_validator(mode="after")
    def _is_what_was_asked(self) -> Self:
        asked = (self.call.amount, self.call.currency)
        if self.amount is not None and (self.amount, self.currency) != asked:
            raise ValueError(f"{self.amount} {self.currency} were charged, not {asked}")
        return self


class Refund(Call):
    """Give back what was charged under the reference, and charge nothing under it from now on.

    It makes a charge that still waits for its answer void: this answer says what was taken. `owed`
    are the amounts that can be: nothing but what was taken, or 0 as well where that is not known.
    """

    TO = "provider"
    PATH = "/refunds"
    LANE = "reference"
    ONCE = True
    SUPERSEDES = True
    order_id: str
    reference: str
    owed: tuple[int, ...]


class Refunded(CallAnswer):
    """This much was given back; 0 where nothing had been charged."""

    call: Refund
    amount: Amount

    @model_validator(mode="after")
    def _is_what_was_taken(self) -> Self:
        if self.amount not in self.call.owed:
            raise ValueError(f"{self.amount} were given back, not one of {self.call.owed}")
        return self


Charge.ANSWER = Charged
Refund.ANSWER = Refunded
