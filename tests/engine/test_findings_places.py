"""What is found about steps without a deadline, what is another's, and what was decided."""

from __future__ import annotations

from typing import Any

import pytest

from stagepost.engine.findings.code import Reach
from stagepost.engine.findings.places import (
    decisions_contradicted,
    reaches_into_another,
    steps_without_deadline,
)
from stagepost.engine.findings.values import System
from stagepost.engine.links import Links
from stagepost.messages import Event, Message, Timer
from stagepost.process import Process, Reaction, State, ignore, move
from tests.engine.systems import command, decided, event, service, system


class Begun(Event):
    OWNER = "crm"
    order_id: str = "1"


class Late(Timer):
    OWNER, DELAY = "crm", 1
    order_id: str = "1"


class New(State):
    pass


class Waiting(State):
    pass


class Over(State):
    pass


def process(*timers: Timer) -> Process[State]:
    def react(state: State, message: Message) -> Reaction[State]:
        match state, message:
            case New(), Begun():
                return move(Waiting(), *timers)
            case Waiting(), Late():
                return move(Over())
            case _:
                return ignore(state)

    return Process[State](
        name="onboarding",
        initial=New(),
        react=react,
        starts_on=Begun,
        listens_to=(Late,),
        states=(New, Waiting, Over),
        done=(Over,),
        due=Late,
    )


# A step without a deadline.


def test_a_step_that_no_timer_ends_is_found() -> None:
    crm = service("crm", processes=[process()])

    (found,) = steps_without_deadline(system(crm))

    assert found.place == "crm: onboarding in Waiting"


def test_a_step_that_a_timer_ends_is_fine() -> None:
    crm = service("crm", processes=[process(Late())])

    assert list(steps_without_deadline(system(crm))) == []


# What is another's.


def test_what_reaches_into_another_service_is_found_at_its_place() -> None:
    reach = Reach("crm", "mail", "services/crm/app.py", 7, "imports services.mail.api")

    (found,) = reaches_into_another(system(reaches=[reach]))

    assert found.place == "services/crm/app.py:7"
    assert found.what == "crm imports services.mail.api"
    assert found.way_out.startswith("ask mail over HTTP")
    assert list(reaches_into_another(system())) == []


# What was decided.

TOLD, ASKED = event("crm", "CustomerRegistered"), command("mail", "SendLetter")


def on_link(kind: Any, *sent: type[Message], elsewhere: bool = False) -> System:
    crm, mail = service("crm", sends=sent), service("mail", hears=sent)
    services = {"crm": crm, "mail": mail}
    names = frozenset({"crm->mail"} if elsewhere else ())
    return System(
        services, Links().between(services), {"crm->mail": decided(kind)}, elsewhere=names
    )


@pytest.mark.parametrize(
    ("kind", "sent", "said"),
    [
        ("command", [TOLD], "sends CustomerRegistered there as an event"),
        ("event", [ASKED], "sends SendLetter there as a command"),
        ("event", [TOLD, ASKED], "sends SendLetter there as a command"),
        ("answer", [TOLD], "sends CustomerRegistered there as an event"),
        ("command", [], "sends no command there"),
    ],
)
def test_code_that_does_something_else_than_was_decided_is_found(
    kind: str, sent: list[type[Message]], said: str
) -> None:
    (found,) = decisions_contradicted(on_link(kind, *sent))

    assert found.place == "crm->mail"
    assert found.what.endswith(said)
    assert "by a decision of 2026-01-01" in found.what


def test_code_that_does_what_was_decided_is_fine() -> None:
    assert list(decisions_contradicted(on_link("command", ASKED))) == []
    assert list(decisions_contradicted(on_link("event", TOLD))) == []


def test_what_was_decided_of_a_link_of_another_style_is_not_looked_at() -> None:
    assert list(decisions_contradicted(on_link("command", elsewhere=True))) == []
