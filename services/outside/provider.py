"""The payment provider's rules: from what was asked, and what its ledger says, to one entry more.

The merchant's reference stands for one payment: it is charged once and given back once, under
however many idempotency keys that is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from services.outside.behaviour import of_token
from services.outside.entry import Asked, Entry, ShortText, next_number

Kind = Literal["charge", "repeated", "declined", "refund"]


class Charge(Asked):
    """Charge this card."""

    amount: int = Field(ge=0, le=10**15)
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    payment_token: ShortText


class Refund(Asked):
    """Give back what was charged under the reference, and charge nothing under it from now on."""


class Charged(BaseModel):
    """The answer to `Charge`."""

    accepted: bool
    charge_id: str | None = None
    reason: str | None = None
    amount: int | None = None
    currency: str | None = None


class Refunded(BaseModel):
    """The answer to `Refund`: what was charged under the reference and is given back, or 0."""

    amount: int


class ChargeEntry(Entry):
    """A line of the provider's ledger.

    `amount` is what moved: its sum over a reference is what is held.
    """

    kind: Kind
    amount: int
    currency: str | None


def charge(asked: Charge, key: str, past: Sequence[ChargeEntry]) -> ChargeEntry:
    """Charge the card, unless the reference is barred or has been charged already.

    A charge that stands is told again to one who asks under another key: "declined" would be a
    lie about money that is held.
    """
    if any(entry.kind == "refund" for entry in past):
        return _entry(asked, key, past, "declined", answer=_declined("barred"))
    if taken := next((entry for entry in past if entry.kind == "charge"), None):
        if (taken.amount, taken.currency) == (asked.amount, asked.currency):
            return _entry(asked, key, past, "repeated", answer=taken.answer)
        return _entry(
            asked, key, past, "declined", answer=_declined("already charged another amount")
        )
    if of_token(asked.payment_token).refuses:
        return _entry(asked, key, past, "declined", answer=_declined("declined by the bank"))
    charged = Charged(
        accepted=True, charge_id=f"ch_{key}", amount=asked.amount, currency=asked.currency
    )
    answer = charged.model_dump_json()
    return _entry(
        asked, key, past, "charge", answer=answer, amount=asked.amount, currency=asked.currency
    )


def refund(asked: Refund, key: str, past: Sequence[ChargeEntry]) -> ChargeEntry:
    """Give back what is held under the reference; the entry itself bars it."""
    held = sum(entry.amount for entry in past)
    taken = next((entry for entry in past if entry.kind == "charge"), None)
    if taken is None:
        return _entry(asked, key, past, "refund", answer=Refunded(amount=0).model_dump_json())
    answer = Refunded(amount=taken.amount).model_dump_json()
    return _entry(asked, key, past, "refund", answer=answer, amount=-held, currency=taken.currency)


def _declined(reason: str) -> str:
    return Charged(accepted=False, reason=reason).model_dump_json()


def _entry(
    asked: Asked,
    key: str,
    past: Sequence[ChargeEntry],
    kind: Kind,
    *,
    answer: str,
    amount: int = 0,
    currency: str | None = None,
) -> ChargeEntry:
    return ChargeEntry(
        idempotency_key=key,
        reference=asked.reference,
        number=next_number(past),
        order_id=asked.order_id,
        kind=kind,
        answer=answer,
        amount=amount,
        currency=currency,
    )
