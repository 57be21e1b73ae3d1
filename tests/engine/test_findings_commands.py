"""What is found about what services ask of each other; each rule fires, and holds its peace."""

from __future__ import annotations

import pytest

from stagepost.engine.findings.commands import (
    commands_in_disguise,
    without_one_recipient,
    without_refusal,
)
from stagepost.engine.findings.values import Level
from tests.engine.systems import answer, command, event, refusal, service, system

NEEDED = event("crm", "WelcomeLetterNeeded")
REGISTERED = event("crm", "CustomerRegistered")
SENT = event("mail", "LetterSent")

SEND = command("mail", "SendLetter")
DONE = answer("LetterWasSent", SEND)
FAILED = refusal("LetterFailed", SEND)


# A command in disguise.


@pytest.mark.parametrize("told", [NEEDED, REGISTERED])
def test_an_event_to_one_reader_whose_answer_is_waited_for_is_a_command(told: type) -> None:
    crm = service("crm", sends=[told], hears=[SENT])
    mail = service("mail", sends=[SENT], hears=[told])

    (found,) = commands_in_disguise(system(crm, mail))

    assert found.level is Level.FINDING
    assert found.place == "crm->mail"
    assert found.what.startswith(f"crm tells {told.__name__} to mail alone, and hears LetterSent")
    assert found.links == {"crm->mail"}


def test_of_two_who_tell_each_other_the_one_asks_that_tells_of_a_wish() -> None:
    crm = service("crm", sends=[NEEDED], hears=[SENT])
    mail = service("mail", sends=[SENT], hears=[NEEDED])

    assert [found.place for found in commands_in_disguise(system(mail, crm))] == ["crm->mail"]


def test_an_answer_to_a_command_that_was_not_sent_gives_the_disguise_away() -> None:
    crm = service("crm", sends=[NEEDED], hears=[DONE])
    mail = service("mail", sends=[DONE], hears=[NEEDED])

    (found,) = commands_in_disguise(system(crm, mail))

    assert "hears LetterWasSent" in found.what


def test_an_answer_gives_it_away_though_others_hear_it_and_is_no_question_itself() -> None:
    crm = service("crm", sends=[REGISTERED], hears=[DONE])
    mail = service("mail", sends=[DONE], hears=[REGISTERED])
    audit = service("audit", hears=[DONE])

    for services in ([mail, crm], [mail, crm, audit]):
        assert [found.place for found in commands_in_disguise(system(*services))] == ["crm->mail"]


def test_an_event_that_two_read_or_nobody_waits_for_is_an_event() -> None:
    mail = service("mail", sends=[SENT], hears=[REGISTERED])
    points = service("points", hears=[REGISTERED])
    waits = service("crm", sends=[REGISTERED], hears=[SENT])
    does_not_wait = service("crm", sends=[REGISTERED])

    assert list(commands_in_disguise(system(waits, mail, points))) == []
    assert list(commands_in_disguise(system(mail, waits, points))) == []
    assert list(commands_in_disguise(system(does_not_wait, mail))) == []


def test_what_is_told_in_turn_may_be_another_s_answer_and_is_none_then() -> None:
    crm = service("crm", sends=[REGISTERED], hears=[SENT])
    mail = service("mail", sends=[SENT], hears=[REGISTERED])
    audit = service("audit", hears=[SENT])

    assert list(commands_in_disguise(system(crm, mail, audit))) == []


def test_who_commands_may_tell_the_same_service_something_too() -> None:
    """What comes back answers the command."""
    crm = service("crm", sends=[REGISTERED, SEND], hears=[DONE, FAILED])
    mail = service("mail", sends=[DONE, FAILED], hears=[REGISTERED, SEND])

    assert list(commands_in_disguise(system(crm, mail))) == []


def test_what_its_own_service_hears_too_has_one_reader_all_the_same() -> None:
    crm = service("crm", sends=[NEEDED], hears=[NEEDED, SENT])
    mail = service("mail", sends=[SENT], hears=[NEEDED])

    assert [found.place for found in commands_in_disguise(system(crm, mail))] == ["crm->mail"]


@pytest.mark.parametrize(
    ("name", "is_hint"),
    [
        ("LetterRequested", True),
        ("CustomerNeedsToBeSentALetter", True),
        ("CustomerShouldBeTold", True),
        ("LetterSent", False),
        ("MustardSold", False),
        ("Requestedness", False),
    ],
)
def test_the_name_of_a_wish_with_one_reader_is_a_hint(name: str, is_hint: bool) -> None:  # noqa: FBT001
    told = event("crm", name)
    crm, mail = service("crm", sends=[told]), service("mail", hears=[told])

    found = list(commands_in_disguise(system(crm, mail)))

    assert [hint.level for hint in found] == [Level.HINT] * is_hint


def test_the_name_of_a_wish_that_two_hear_is_no_hint() -> None:
    hearing = [service(name, hears=[NEEDED]) for name in ("mail", "points")]

    assert list(commands_in_disguise(system(service("crm", sends=[NEEDED]), *hearing))) == []


# A command without a recipient, or with two.


def test_a_command_that_nobody_takes_is_found() -> None:
    crm = service("crm", sends=[SEND])

    (alone,) = without_one_recipient(system(crm))
    (deaf,) = without_one_recipient(system(crm, service("mail", hears=[REGISTERED])))

    assert alone.place == deaf.place == "mail.SendLetter"
    assert not alone.links
    assert alone.what == "crm sends SendLetter, and mail, whose command it is, does not take it"


def test_a_command_that_two_take_is_found() -> None:
    crm, mail = service("crm", sends=[SEND]), service("mail", hears=[SEND])
    spy = service("spy", hears=[SEND])

    (found,) = without_one_recipient(system(crm, mail, spy))

    assert "to mail, and spy would take it too" in found.what
    assert found.links == {"crm->mail"}


def test_a_command_that_another_than_its_owner_takes_is_found() -> None:
    crm, spy = service("crm", sends=[SEND]), service("spy", hears=[SEND])

    assert len(list(without_one_recipient(system(crm, spy)))) == 1


def test_a_command_that_its_owner_takes_alone_is_as_it_should_be_whoever_sends_it() -> None:
    mail = service("mail", hears=[SEND])

    two = system(service("crm", sends=[SEND]), service("shop", sends=[SEND]), mail)

    assert list(without_one_recipient(two)) == []
    assert list(without_one_recipient(system(mail))) == []


# A command that cannot be refused.


def test_a_command_without_a_refusing_answer_and_without_a_reason_is_found() -> None:
    crm, mail = service("crm", sends=[SEND]), service("mail", sends=[DONE], hears=[SEND])

    (found,) = without_refusal(system(crm, mail))

    assert found.place == "mail.SendLetter"
    assert found.what == "no answer refuses it, only LetterWasSent, and nothing says why"
    assert found.links == {"crm->mail"}


def test_a_command_without_any_answer_is_found_whatever_it_says() -> None:
    forget = command("mail", "Forget", NEVER_REFUSED="it is easy")
    crm, mail = service("crm", sends=[forget]), service("mail", sends=[DONE], hears=[forget])

    (found,) = without_refusal(system(crm, mail))

    assert found.what == "mail has no answer to it: crm can never know"


def test_a_command_that_is_refused_by_an_answer_of_its_own_or_of_another_is_fine() -> None:
    resend = command("mail", "SendAgain")
    crm = service("crm", sends=[SEND, resend])
    shared = type("LetterLost", (FAILED,), {"ALSO": (resend,), "OWNER": "mail"})

    mail = service("mail", sends=[DONE, shared], hears=[SEND, resend])

    assert list(without_refusal(system(crm, mail))) == []


def test_a_command_that_says_why_it_is_never_refused_is_fine() -> None:
    undo = command("mail", "CallBackLetter", NEVER_REFUSED="what was not sent is not called back")
    undone = answer("LetterCalledBack", undo)
    crm, mail = service("crm", sends=[undo]), service("mail", sends=[undone], hears=[undo])

    assert list(without_refusal(system(crm, mail))) == []


def test_a_command_that_nobody_sends_or_takes_is_not_looked_at() -> None:
    crm, mail = service("crm", sends=[SEND]), service("mail", sends=[DONE], hears=[SEND])

    assert list(without_refusal(system(mail))) == []
    assert list(without_refusal(system(crm, service("mail", sends=[DONE])))) == []
