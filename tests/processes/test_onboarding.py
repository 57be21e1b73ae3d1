"""Onboarding, told as given, when, then: every arrow of `services/customers/flow.mmd`."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts import customers, notifications
from services.customers import process
from services.customers.process import TRIES, LetterDue, onboarding
from services.customers.states import AwaitingLetter, LetterFailed, Onboarded, Overdue
from stagepost.explore import examples_of, mermaid, walk
from stagepost.messages import Command, Message, Timer
from stagepost.testing import given

EXAMPLES = examples_of(onboarding)
FLOW = Path(process.__file__).with_name("flow.mmd")

ADA = {"customer_id": "ada"}
ASKED = {**ADA, "caller": "customers", "reference": "ada"}

registered = customers.CustomerRegistered(**ADA)
letter = notifications.SendWelcomeLetter(**ASKED)
due = LetterDue(**ADA)
sent = notifications.WelcomeLetterSent(**ASKED, said="2.0.0 Ok", sha256="0" * 64)
failed = notifications.WelcomeLetterFailed(**ASKED, reason="550 no such mailbox")
onboarded = customers.CustomerOnboarded(**ADA)
overdue = customers.OnboardingOverdue(**ADA, tries=TRIES)


def test_who_registers_is_sent_the_letter_and_has_a_deadline() -> None:
    then = given(onboarding).when(registered)
    then.then(letter, due)
    assert then.state == AwaitingLetter(customer_id="ada", tries=1)


def test_the_proof_ends_it() -> None:
    then = given(onboarding, registered).when(sent)
    then.then(onboarded)
    assert then.state == Onboarded()


def test_without_proof_at_the_deadline_the_letter_is_asked_for_again_under_its_reference() -> None:
    then = given(onboarding, registered).when(due)
    then.then(letter, due)
    assert then.state == AwaitingLetter(customer_id="ada", tries=2)


def test_a_letter_that_is_refused_is_asked_for_again_at_the_deadline_and_not_before() -> None:
    refused = given(onboarding, registered).when(failed)
    refused.then_nothing()
    assert refused.state == LetterFailed(customer_id="ada", tries=1)
    given(onboarding, registered, failed).when(due).then(letter, due)


def test_a_refusal_that_is_told_twice_moves_nothing() -> None:
    given(onboarding, registered, failed).when(failed).then_nothing()


@pytest.mark.parametrize("between", [(), (failed,)], ids=["silence", "refusals"])
def test_after_so_many_tries_somebody_is_told_and_nothing_more_is_asked(
    between: tuple[Message, ...],
) -> None:
    tried = [registered, *between, *(due, *between) * (TRIES - 1)]
    then = given(onboarding, *tried).when(due)
    then.then(overdue)
    assert then.state == Overdue(customer_id="ada", tries=TRIES)


def test_a_proof_that_comes_late_still_counts() -> None:
    given(onboarding, registered, failed).when(sent).then(onboarded)
    given(onboarding, registered, *[due] * TRIES).when(sent).then(onboarded)


def test_who_is_onboarded_hears_nothing_more() -> None:
    for message in (registered, sent, failed, due):
        given(onboarding, registered, sent).when(message).then_nothing()


def test_who_is_overdue_is_told_of_once() -> None:
    for message in (registered, failed, due):
        given(onboarding, registered, *[due] * TRIES).when(message).then_nothing()


def test_whatever_comes_in_whatever_order_it_asks_so_often_and_never_waits_without_a_deadline() -> (
    None
):
    asked = 0
    for arrow in walk(onboarding, EXAMPLES):
        commands = [send for send in arrow.reaction.sends if isinstance(send, Command)]
        timers = [send for send in arrow.reaction.sends if isinstance(send, Timer)]
        assert len(commands) == len(timers)
        asked = max(asked, getattr(arrow.reaction.state, "tries", 0))
    assert asked == TRIES


def test_the_drawing_in_the_service_is_the_one_that_the_code_makes() -> None:
    assert FLOW.read_text() == mermaid(onboarding, EXAMPLES) + "\n"
