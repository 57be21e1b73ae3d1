"""What both ledgers have in common: entries that stand for ever, and who may ask for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class Asked(BaseModel):
    """What a client posts; fields that are not known here are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    order_id: ShortText
    reference: ShortText


class Entry(BaseModel):
    """One line of a ledger: what was done under an idempotency key, and the JSON that says so.

    `number` counts the entries of a reference, so that nobody can record on what is out of date.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    idempotency_key: str
    reference: str
    number: int
    order_id: str
    kind: str
    answer: str


def next_number(past: Sequence[Entry]) -> int:
    """Return the number of the entry that follows on those of a reference."""
    return past[-1].number + 1 if past else 1
