"""Where an onboarding can stand. Each state holds only what is true in it."""

from __future__ import annotations

from stagepost.process import State


class New(State):
    """Nothing was heard of the customer yet."""


class Underway(State):
    """The letter was asked for so many times, and there is no proof of it yet."""

    __match_args__ = ("customer_id", "tries")
    customer_id: str
    tries: int


class AwaitingLetter(Underway):
    """The letter is on its way, as far as we know."""


class LetterFailed(Underway):
    """The letter could not be sent: at the deadline it is asked for again."""


class Overdue(Underway):
    """It was asked for as often as we try: a person was told. A proof may still come."""


class Onboarded(State):
    """The customer has the letter, and there is proof."""
