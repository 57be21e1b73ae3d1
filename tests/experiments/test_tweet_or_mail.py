"""What is claimed of an event and of a command is judged by what was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stagepost.engine.links_shown import Row
from tests.experiments.tweet_or_mail_registry import Found, Registry, Said
from tests.experiments.tweet_or_mail_seen import NO_RECIPIENT, ROWS, Command, Event
from tests.experiments.tweet_or_mail_shop import DEADLINE, Alarms, Entry

WELL = Alarms({"customers": "ok", "ordering": "ok"}, {"customers timers_pending": 0.0}, {})
WAITING = WELL._replace(gauges={"customers timers_pending": 1.0})
SAME = Registry(Said(frozenset(), 0, frozenset()), Said(frozenset(), 0, frozenset()))
ALONE = Row("customers", "", "command", "SendWelcomeLetter", "", "", "")
FOUND = Found(NO_RECIPIENT, "notifications.SendWelcomeLetter")
REFUSED = replace(SAME, without=Said(frozenset({ALONE}), 1, frozenset({FOUND})))


def line(seconds: float, name: str, direction: str = "out") -> Entry:
    at = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return Entry("customers", direction, f"customers.{name}", None, None, at)


TOLD = [line(0, "CustomerRegistered"), line(0.1, "OrderConfirmed")]
EVENT = Event(
    missing="loyalty",
    journal=TOLD,
    later=TOLD,
    beside=TOLD,
    alarms=WELL,
    usual=WELL,
    kept={"CustomerRegistered": 1, "OrderConfirmed": 1},
    registry=SAME,
    took=0.1,
    onboarding="Onboarded",
    order="confirmed",
    points=25,
)


def tries(late: float) -> list[Entry]:
    """Ask three times; what is late is noticed so much after each deadline."""
    step = DEADLINE + late
    return [
        line(0, "CustomerRegistered"),
        *(line(number * step, "SendWelcomeLetter") for number in range(3)),
        *(line((number + 1) * step, "LetterDue", "in") for number in range(3)),
        line(3 * step, "OnboardingOverdue"),
    ]


COMMAND = Command(
    missing="notifications",
    journal=tries(0.1),
    later=[*tries(0.1), line(20, "CustomerOnboarded")],
    beside=[
        line(0, "CustomerRegistered"),
        line(0, "SendWelcomeLetter"),
        line(0, "CustomerOnboarded"),
    ],
    alarms=WELL,
    usual=WELL,
    kept={"SendWelcomeLetter": 3},
    registry=REFUSED,
    took=0.1,
    meanwhile=WAITING,
    waited="AwaitingLetter",
    overdue="Overdue",
    ended="Onboarded",
    letters=1,
)


def test_both_hold_as_they_should_be_and_say_each_row() -> None:
    assert EVENT.holds
    assert COMMAND.holds
    assert len(EVENT.cells) == len(COMMAND.cells) == len(ROWS)


@pytest.mark.parametrize(
    "changed",
    [
        {"beside": TOLD[:1]},
        {"later": [*TOLD, *TOLD]},
        {"alarms": WAITING},
        {"alarms": WELL._replace(health={"customers": "degraded"})},
        {"missing": "notifications"},
        {"registry": REFUSED},
    ],
    ids=["a message", "a message later", "a gauge", "health", "a dependant", "a finding"],
)
def test_an_event_does_not_hold_where_anything_upstream_is_another(changed: dict[str, Any]) -> None:
    assert not replace(EVENT, **changed).holds


@pytest.mark.parametrize(
    "changed",
    [
        {"journal": tries(5)},
        {"journal": tries(-1)},
        {"journal": tries(0.1)[:-1]},
        {"registry": SAME},
        {"ended": "Overdue"},
        {"letters": 3},
    ],
    ids=["too late", "too early", "nobody told", "not found", "no proof", "thrice"],
)
def test_a_command_does_not_hold_where_it_is_noticed_late_or_not_done_once(
    changed: dict[str, Any],
) -> None:
    assert not replace(COMMAND, **changed).holds


def test_messages_are_counted_where_they_were_sent_and_timers_where_they_fired() -> None:
    assert COMMAND.differs == {
        "CustomerOnboarded": (0, 1),
        "LetterDue": (3, 0),
        "OnboardingOverdue": (1, 0),
        "SendWelcomeLetter": (3, 1),
    }
