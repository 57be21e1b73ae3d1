"""What follows from who needs a link and who owns its outcome."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from stagepost.engine.link_decided import Said, answers, contradiction, derive
from stagepost.engine.link_file import Decided, read_links
from stagepost.engine.link_write import write_decision
from stagepost.engine.links import Links
from tests.engine.systems import answer, command, event, service

TODAY = date(2026, 11, 23)


def said(**more: bool | str) -> Said:
    """Return what is said of a loyalty programme that enrolls new customers off an event."""
    told = {"cares": False, "owner": "loyalty", "is_reused": False} | more
    return Said("customers", "loyalty", **told)  # type: ignore[arg-type]


# What it is.


def test_what_the_sender_does_not_need_and_the_reader_owns_is_an_event() -> None:
    decided = derive(said(), TODAY, "nats", is_straight=False)

    assert (decided.kind, decided.outcome, decided.transport) == ("event", "loyalty", "nats")
    assert decided.because == "customers does not need it to happen; loyalty owns the outcome"
    assert decided.on == TODAY


@pytest.mark.parametrize(
    "more", [{"cares": True}, {"owner": "customers"}, {"is_reused": True}], ids=str
)
def test_what_the_sender_needs_or_owns_or_asks_of_one_who_is_for_many_is_a_command(
    more: dict[str, bool | str],
) -> None:
    decided = derive(said(**more), TODAY, "nats", is_straight=False)

    assert (decided.kind, decided.outcome) == ("command", "customers")


def test_a_welcome_letter_that_the_law_asks_for_is_a_command() -> None:
    letter = Said("customers", "notifications", cares=True, owner="customers", is_reused=True)

    decided = derive(letter, TODAY, "kafka", is_straight=False)

    assert decided == Decided(
        kind="command",
        outcome="customers",
        transport="kafka",
        because="customers needs it to happen; customers owns the outcome; notifications is for"
        " many",
        on=TODAY,
    )
    assert letter.doubt is None


def test_an_answer_belongs_to_who_asked_and_comes_as_its_command_went() -> None:
    decided = answers("fulfillment", TODAY)

    assert (decided.kind, decided.outcome, decided.transport) == ("answer", "fulfillment", None)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"cares": True}, "somebody waits for the answer"),
        ({}, "no broker reaches loyalty"),
    ],
)
def test_what_goes_straight_goes_over_http_and_says_why(
    more: dict[str, bool | str], why: str
) -> None:
    decided = derive(said(**more), TODAY, "nats", is_straight=True)

    assert decided.transport == "http"
    assert decided.because.endswith(f"; {why}")


@pytest.mark.parametrize(
    ("more", "doubt"),
    [
        ({"owner": "customers"}, "who owns the outcome has to see to it: customers needs it"),
        ({"cares": True}, "who commands owns the outcome: customers now, not loyalty"),
        ({"is_reused": True}, "or a third owns it, and commands loyalty"),
    ],
)
def test_what_does_not_go_together_is_doubted(more: dict[str, bool | str], doubt: str) -> None:
    assert doubt in str(said(**more).doubt)


def test_what_goes_together_is_not_doubted() -> None:
    assert said().doubt is None
    assert said(cares=True, owner="customers").doubt is None


# Beside the code.


def test_answers_on_the_link_of_an_event_do_not_contradict_it() -> None:
    ask, told = command("crm", "Register"), event("crm", "Registered")
    reply = answer("WasRegistered", ask)
    services = {
        "crm": service("crm", sends=[told, reply], hears=[ask]),
        "shop": service("shop", sends=[ask], hears=[told, reply]),
    }
    links = [link for link in Links().between(services) if link.sender == "crm"]

    assert contradiction(derive(said(), TODAY, "nats", is_straight=False), links) is None
    assert contradiction(answers("shop", TODAY), links) == (
        "the code sends Registered there as an event"
    )


# In the file.

DECIDED = derive(said(), TODAY, "nats", is_straight=False)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def written(before: str | None, transport: str | None = None) -> str:
    """Write a decision on `customers->loyalty` into a file; return what it is then."""
    file = Path("stagepost.toml")
    if before is not None:
        file.write_text(before)
    write_decision("customers->loyalty", DECIDED, transport)
    return file.read_text()


def test_a_file_is_made_where_there_is_none() -> None:
    assert written(None).splitlines() == [
        '[links."customers->loyalty".decided]',
        'kind = "event"',
        'outcome = "loyalty"',
        'transport = "nats"',
        'because = "customers does not need it to happen; loyalty owns the outcome"',
        "on = 2026-11-23",
    ]


BEFORE = """\
# About all.
[links]
default = "kafka"  # for now
# About payments.
"fulfillment->payments" = "http"

"a -> b" = { accepted = "so" }
# The end.
"""


def test_all_else_stays_as_it_is_with_its_comments_and_in_its_order() -> None:
    assert written(BEFORE).startswith(BEFORE)


@pytest.mark.parametrize(
    "line",
    [
        '"customers->loyalty" = "http"',
        '" customers -> loyalty " = { transport = "http", accepted = "so" }',
        '"customers->loyalty".transport = "http"',
    ],
)
def test_what_is_said_of_the_link_already_stays_in_its_place(line: str) -> None:
    after = written(f"[links]\n# Before.\n{line}  # beside\n# After.\ndefault = 'nats'\n")

    lines = [text for text in after.splitlines() if text.startswith(("#", "default"))]
    assert lines == ["# Before.", "# After.", "default = 'nats'"]
    assert "# beside" in after
    record = read_links()["customers->loyalty"]
    assert (record.transport, record.decided) == ("http", DECIDED)
    assert record.accepted == ("so" if "so" in line else None)


@pytest.mark.parametrize(
    "before",
    [
        "",
        "links = { default = 'nats' }\n",
        '[links."customers->loyalty"]\naccepted = "so"\n',
        '[links."a->b"]\naccepted = "so"\n',
        "[links]",
    ],
)
def test_a_decision_can_be_read_again_wherever_it_was_written(before: str) -> None:
    written(before, transport="kafka")

    record = read_links()["customers->loyalty"]
    assert (record.transport, record.decided) == ("kafka", DECIDED)


def test_a_later_decision_takes_the_place_of_an_earlier_one() -> None:
    once = written(BEFORE)

    assert written(once) == once
