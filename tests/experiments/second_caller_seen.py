"""What was seen of a shop in which payments has two callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict


class Money(BaseModel):
    """One caller's money, as the provider's ledger, payments and the caller itself know it.

    `most_charges` is how often the provider charged a card for one payment, at most; `unasked` are
    answers to others that the caller heard as well.
    """

    model_config = ConfigDict(frozen=True)

    caller: str
    payments: int
    asked_again: int
    most_charges: int
    provider: int
    says: int
    counted_on: int
    unasked: int

    @property
    def agrees(self) -> bool:
        return self.provider == self.says == self.counted_on and self.most_charges == 1


class Seen(BaseModel):
    """A run: how orders and returns ended, and how many returns were under way at each kill."""

    model_config = ConfigDict(frozen=True)

    orders: int
    accepted: int
    refused: Mapping[str, int]
    killed: Sequence[int]
    money: Sequence[Money]
    promises: int
    broken: Mapping[str, str]
