"""Notifications, told as given, when, then."""

from __future__ import annotations

import pytest

from contracts import notifications, ordering
from services.notifications.handlers import HANDLERS
from services.notifications.mail import Mail, Mailed, Proof
from stagepost.errors import BadMessage
from stagepost.messages import Call
from stagepost.testing import ThenDecision, given

ADA = {"customer_id": "ada"}
ASKED = {**ADA, "caller": "customers", "reference": "ada"}
ORDER = {"caller": "fulfillment", "reference": "1", "order_id": "1", "customer_id": "ada"}
PROOF = Proof(said="2.0.0 Ok", sha256="0" * 64)

ask = notifications.SendWelcomeLetter(**ASKED)
sent = notifications.WelcomeLetterSent(**ASKED, said=PROOF.said, sha256=PROOF.sha256)
failed = notifications.WelcomeLetterFailed(**ASKED, reason="550 no such mailbox")
confirmed = ordering.OrderConfirmed(**ORDER, amount=2500, currency="EUR")
rejected = ordering.OrderRejected(**ORDER, reason="out of stock")


def mail_of(then: ThenDecision) -> Mail:
    (mail,) = then.sent
    assert isinstance(mail, Mail)
    return mail


letter = mail_of(given(HANDLERS).when(ask))
again = letter.model_copy(update={"mail": "welcome/customers/ada/2", "attempt": 2})
good_news = mail_of(given(HANDLERS).when(confirmed))
taken = Mailed(call=letter, proof=PROOF)
refused = Mailed(call=letter, reason="550 no such mailbox")


def test_a_letter_that_is_asked_for_is_handed_to_the_mail_server() -> None:
    assert letter.customer_id == "ada"
    assert "withdraw from" in letter.text
    assert isinstance(letter, Call)


def test_a_letter_that_the_mail_server_takes_is_answered_with_the_proof() -> None:
    given(HANDLERS, ask).when(taken).then(sent)


def test_a_letter_that_the_mail_server_refuses_is_answered_with_its_reason() -> None:
    given(HANDLERS, ask).when(refused).then(failed)


def test_asking_again_while_the_letter_is_on_its_way_sends_no_second_one() -> None:
    given(HANDLERS, ask).when(ask).then_nothing()


def test_asking_again_for_a_letter_that_is_sent_hears_of_the_proof_again() -> None:
    given(HANDLERS, ask, taken).when(ask).then_only_says(sent)


def test_asking_again_for_a_letter_that_was_refused_sends_another_mail() -> None:
    then = given(HANDLERS, ask, refused).when(ask)
    then.then(again)
    assert then.topics == ["notifications.Notification.RequestedAgain"]


def test_the_second_try_may_be_taken() -> None:
    given(HANDLERS, ask, refused, ask).when(Mailed(call=again, proof=PROOF)).then(sent)


def test_an_answer_to_an_earlier_try_says_nothing_of_this_one() -> None:
    given(HANDLERS, ask, refused, ask).when(refused).then_nothing()


def test_a_mail_that_is_answered_twice_is_noted_once() -> None:
    given(HANDLERS, ask, taken).when(taken).then_nothing()
    given(HANDLERS, ask, taken).when(refused).then_nothing()


def test_letters_of_two_callers_are_two() -> None:
    theirs = notifications.SendWelcomeLetter(**ADA, caller="returns", reference="ada")
    assert mail_of(given(HANDLERS, ask, taken).when(theirs)).mail == "welcome/returns/ada/1"


def test_a_customer_is_told_how_an_order_ended() -> None:
    assert good_news.subject == "Your order 1 is on its way"
    bad_news = mail_of(given(HANDLERS).when(rejected))
    assert "(out of stock)" in bad_news.text


def test_bad_news_is_true_while_the_money_is_on_its_way_back_as_it_can_be_in_a_chain() -> None:
    bad_news = mail_of(given(HANDLERS).when(rejected))
    assert bad_news.text.endswith("Whatever you have paid for it is given back.\n")


def test_a_customer_is_told_once_however_often_we_hear_of_it() -> None:
    given(HANDLERS, confirmed).when(confirmed).then_nothing()


def test_news_of_an_order_that_went_out_is_told_with_its_proof() -> None:
    given(HANDLERS, confirmed).when(Mailed(call=good_news, proof=PROOF)).then(
        notifications.NotificationSent(
            customer_id="ada", order_id="1", said=PROOF.said, sha256=PROOF.sha256
        )
    )


def test_news_for_somebody_whom_nobody_knows_is_kept_as_failed_and_told_to_nobody() -> None:
    then = given(HANDLERS, confirmed).when(Mailed(call=good_news, reason="no such customer"))
    then.then()
    assert then.topics == ["notifications.Notification.Failed"]


def test_a_mail_is_one_call_whatever_caused_it() -> None:
    assert Mail.ONCE
    assert (letter.lane, again.lane) == ("welcome/customers/ada/1", "welcome/customers/ada/2")


def test_nothing_that_is_stored_or_told_has_a_name_or_an_address() -> None:
    assert not {"name", "email", "address", "to"} & {*Mail.model_fields, *Mailed.model_fields}


def test_an_answer_for_a_mail_that_nobody_asked_for_is_a_bad_message() -> None:
    with pytest.raises(BadMessage, match=r"notifications\.Mail was answered for"):
        given(HANDLERS).when(taken)
