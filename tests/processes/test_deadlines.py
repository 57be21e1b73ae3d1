"""In which states a process can wait for ever, found by running it."""

from __future__ import annotations

import pytest

from services.fulfillment.process import order_fulfillment
from stagepost.explore import examples_of, without_deadline
from stagepost.messages import Command, Event, Message, Timer
from stagepost.process import Process, Reaction, State, ignore, move, stay


class Asked(Event):
    OWNER = "someone"
    order_id: str = "1"


class Told(Event):
    OWNER = "someone"
    order_id: str = "1"


class AskAgain(Command):
    OWNER = "someone"
    order_id: str = "1"


class Late(Timer):
    OWNER, DELAY = "someone", 1
    order_id: str = "1"


class Overdue(Timer):
    OWNER, DELAY = "someone", 9
    order_id: str = "1"


class Given(Event):
    OWNER = "someone"
    order_id: str = "1"


class New(State):
    pass


class Waiting(State):
    pass


class WaitingAgain(State):
    pass


class Done(State):
    pass


again = AskAgain(caller="me", reference="1")


def never_timed(state: State, message: Message) -> Reaction[State]:
    match state, message:
        case New(), Asked():
            return move(Waiting())
        case Waiting(), Told():
            return move(Done())
        case _:
            return ignore(state)


def timed_once(state: State, message: Message) -> Reaction[State]:
    """Asks again when it is late, and then waits without a new deadline."""
    match state, message:
        case New(), Asked():
            return move(Waiting(), Late())
        case Waiting(), Late():
            return move(WaitingAgain(), again)
        case Waiting() | WaitingAgain(), Told() | Late():
            return move(Done())
        case _:
            return ignore(state)


def timed_each_time(state: State, message: Message) -> Reaction[State]:
    match state, message:
        case Waiting(), Late():
            return move(WaitingAgain(), again, Late())
        case _:
            return timed_once(state, message)


def not_heeded(state: State, message: Message) -> Reaction[State]:
    match state, message:
        case New(), Asked():
            return move(Waiting(), Late())
        case Waiting(), Late():
            return ignore(state)
        case _:
            return timed_once(state, message)


def told_to_be_late(state: State, message: Message) -> Reaction[State]:
    """Tells that it is late and goes on to wait."""
    match state, message:
        case New(), Asked():
            return move(Waiting(), Overdue())
        case Waiting(), Overdue():
            return move(WaitingAgain(), Given())
        case Waiting() | WaitingAgain(), Told():
            return move(Done())
        case _:
            return ignore(state)


def late_and_not_told(state: State, message: Message) -> Reaction[State]:
    match state, message:
        case Waiting(), Overdue():
            return move(WaitingAgain(), again)
        case _:
            return told_to_be_late(state, message)


def told_in_each_state(state: State, message: Message) -> Reaction[State]:
    match state, message:
        case ((Waiting() | WaitingAgain()), Overdue()):
            return stay(state, Given())
        case Waiting(), Told():
            return move(WaitingAgain())
        case _:
            return told_to_be_late(state, message)


def told_in_one_state_only(state: State, message: Message) -> Reaction[State]:
    match state, message:
        case Waiting(), Told():
            return move(WaitingAgain())
        case _:
            return told_to_be_late(state, message)


def of(react: object) -> Process[State]:
    return Process[State](
        name="p",
        initial=New(),
        react=react,  # type: ignore[arg-type]
        starts_on=Asked,
        listens_to=(Told, Late, Overdue),
        states=(New, Waiting, WaitingAgain, Done),
        done=(Done,),
        due=Overdue,
    )


@pytest.mark.parametrize(
    ("react", "forever"),
    [
        (never_timed, [Waiting]),
        (timed_once, [WaitingAgain]),
        (timed_each_time, []),
        (not_heeded, [Waiting]),
        (told_to_be_late, []),
        (late_and_not_told, [WaitingAgain]),
        (told_in_each_state, []),
        (told_in_one_state_only, [WaitingAgain]),
    ],
)
def test_a_state_waits_for_ever_where_no_timer_is_still_to_come(
    react: object, forever: list[type[State]]
) -> None:
    process = of(react)
    assert without_deadline(process, examples_of(process)) == forever


def test_a_timer_that_the_process_does_not_listen_to_is_no_deadline() -> None:
    process = of(timed_each_time)
    deaf = [example for example in examples_of(process) if not isinstance(example, Late)]
    assert without_deadline(process, deaf) == [Waiting]


def test_an_order_never_waits_for_ever() -> None:
    assert without_deadline(order_fulfillment, examples_of(order_fulfillment)) == []
