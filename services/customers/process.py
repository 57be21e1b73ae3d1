"""Onboarding: a welcome letter is asked for by law, so it is commanded, and proof is waited for.

It is asked for a few times, each with a deadline. When that is of no use somebody is told; a proof
that comes later still counts. `flow.mmd` is the drawing of `react`, made from it.
"""

from __future__ import annotations

from contracts import customers, notifications
from contracts.values import CustomerId
from services.customers.states import (
    AwaitingLetter,
    LetterFailed,
    New,
    Onboarded,
    Overdue,
    Underway,
)
from stagepost.messages import Message, Timer
from stagepost.process import Process, Reaction, State, ignore, move

CALLER = "customers"
TRIES = 3
"""How often the letter is asked for."""


class LetterDue(Timer):
    """There must be proof of the letter by now."""

    KEY = "customer_id"
    DELAY = 3600
    customer_id: CustomerId


def react(state: State, message: Message) -> Reaction[State]:
    """One case, one arrow: where we stand and what we hear, where we go and what we send."""
    match state, message:
        case New(), customers.CustomerRegistered(customer_id=customer_id):
            return ask(customer_id, tries=1)

        # There is proof: in time, or after all.
        case Underway(customer_id), notifications.WelcomeLetterSent():
            return move(Onboarded(), customers.CustomerOnboarded(customer_id=customer_id))

        # There is none: what was refused at once may be taken later, so the deadline stays.
        case AwaitingLetter(customer_id, tries), notifications.WelcomeLetterFailed():
            return move(LetterFailed(customer_id=customer_id, tries=tries))
        case ((AwaitingLetter(customer_id, tries) | LetterFailed(customer_id, tries)), LetterDue()):
            return ask(customer_id, tries=tries + 1) if tries < TRIES else give_up(customer_id)
        case _:
            return ignore(state)  # late, or repeated: recorded, nothing to do


def ask(customer_id: str, *, tries: int) -> Reaction[State]:
    """Ask for the letter. Under one reference: one that is sent is never sent again."""
    letter = notifications.SendWelcomeLetter(
        caller=CALLER, reference=customer_id, customer_id=customer_id
    )
    state = AwaitingLetter(customer_id=customer_id, tries=tries)
    return move(state, letter, LetterDue(customer_id=customer_id))


def give_up(customer_id: str) -> Reaction[State]:
    """Tell whoever looks after those for whom trying is of no use."""
    overdue = customers.OnboardingOverdue(customer_id=customer_id, tries=TRIES)
    return move(Overdue(customer_id=customer_id, tries=TRIES), overdue)


onboarding = Process[State](
    name="onboarding",
    initial=New(),
    react=react,
    starts_on=customers.CustomerRegistered,
    listens_to=(notifications.WelcomeLetterSent, notifications.WelcomeLetterFailed, LetterDue),
    states=(New, AwaitingLetter, LetterFailed, Overdue, Onboarded),
    done=(Onboarded,),
    due=LetterDue,
)
