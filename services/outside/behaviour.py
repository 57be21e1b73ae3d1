"""What happens to a request, by the card's token or the parcel's address, as with test cards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a request fares; by default it is granted, at once.

    One that is `late` acts late as well, so that it may find that it came too late. Of an answer
    that is lost all was done; only its first deliveries fail.
    """

    refuses: bool = False
    late: bool = False
    down: bool = False
    lost_answers: int = 0


GRANTS = Behaviour()

TOKENS: Mapping[str, Behaviour] = {
    "tok_declined": Behaviour(refuses=True),
    "tok_slow": Behaviour(late=True),
    "tok_down": Behaviour(down=True),
    "tok_lost_answer": Behaviour(lost_answers=2),
}

WORDS: Mapping[str, Behaviour] = {
    "down": Behaviour(down=True),
    "refused": Behaviour(refuses=True),
    "slow": Behaviour(late=True),
}


def of_token(token: str) -> Behaviour:
    """Return what happens to a charge of this card."""
    return TOKENS.get(token, GRANTS)


def of_address(address: str) -> Behaviour:
    """Return what happens to a parcel to this address: the first of `WORDS` in it decides."""
    words = set(re.findall(r"\w+", address.lower()))
    return next((behaviour for word, behaviour in WORDS.items() if word in words), GRANTS)
