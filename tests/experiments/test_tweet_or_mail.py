"""What is claimed of an event and of a command is judged by what was seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.experiments import tweet_or_mail
from tests.experiments.tweet_or_mail_seen import COMMAND, EVENT, NO_RECIPIENT, Beside, Entry, Seen


def lines(*told: tuple[float, str, str]) -> list[Entry]:
    start = datetime(2026, 10, 1, tzinfo=UTC)
    return [
        Entry("customers", direction, name, start + timedelta(seconds=seconds))
        for seconds, direction, name in told
    ]


ORDER = lines((0, "out", "OrderPlaced"), (0.1, "out", EVENT), (0.1, "in", EVENT))
REGISTERED = (0, "out", "CustomerRegistered")
PROVEN = lines(REGISTERED, (0, "out", COMMAND), (0.1, "out", "CustomerOnboarded"))
TRIES = [(3.0 * n, "out", COMMAND) for n in range(3)] + [
    (3.0 * n, "in", "LetterDue") for n in (1, 2, 3)
]
UNPROVEN = lines(REGISTERED, *TRIES, (9, "out", "OnboardingOverdue"))

SEEN = Seen(
    order=Beside(ORDER, ORDER),
    customer=Beside(UNPROVEN, PROVEN),
    needs={EVENT: ["loyalty on ordering"], COMMAND: ["customers on notifications"]},
    found={EVENT: [], COMMAND: [NO_RECIPIENT]},
    health=["ok", "ok"],
    points=0.5,
    proof=0.4,
    letters=1,
)


def test_it_holds_as_it_should_be_and_says_so() -> None:
    assert SEEN.holds
    said = {name: (event, command) for name, event, command in SEEN.rows}
    assert said["its sender"] == ("tells it 1x", "asks 3x: after 0.0, 3.0, 6.0 s")
    assert said["stagepost check"] == ("nothing", NO_RECIPIENT)


def test_what_the_journals_do_not_share_is_counted_in_both() -> None:
    assert str(SEEN.order) == "the same 3 lines"
    assert SEEN.customer.differs == {
        "CustomerOnboarded": (0, 1),
        "LetterDue": (3, 0),
        "OnboardingOverdue": (1, 0),
        COMMAND: (3, 1),
    }


def without(entries: Iterable[Entry], name: str) -> Beside:
    return Beside([entry for entry in entries if entry.name != name], PROVEN)


@pytest.mark.parametrize(
    "changed",
    [
        {"order": Beside(ORDER, ORDER[:2])},
        {"order": Beside(ORDER[:1], ORDER[:1])},
        {"found": {EVENT: ["something"], COMMAND: [NO_RECIPIENT]}},
        {"found": {EVENT: [], COMMAND: []}},
        {"health": ["ok", "degraded"]},
        {"customer": Beside(PROVEN, PROVEN)},
        {"customer": without(UNPROVEN, "LetterDue")},
        {"customer": without(UNPROVEN, "OnboardingOverdue")},
        {"letters": 0},
        {"letters": 3},
    ],
    ids=[
        "another message about the order",
        "the event is not told",
        "the event is found",
        "the command is not found",
        "health",
        "asked once",
        "no deadline",
        "nobody is told",
        "no letter",
        "thrice the letter",
    ],
)
def test_it_does_not_hold_where_one_thing_is_another(changed: dict[str, Any]) -> None:
    assert not replace(SEEN, **changed).holds


def test_of_this_shop_the_check_refuses_the_command_and_not_the_event() -> None:
    assert tweet_or_mail._found(tweet_or_mail.READER) == []
    assert NO_RECIPIENT in tweet_or_mail._found(tweet_or_mail.RECIPIENT)


def test_of_this_shop_the_readers_depend_on_who_tells_and_the_commander_on_the_recipient() -> None:
    assert tweet_or_mail._needs(EVENT) == ["loyalty on ordering", "notifications on ordering"]
    assert tweet_or_mail._needs(COMMAND) == ["customers on notifications"]
