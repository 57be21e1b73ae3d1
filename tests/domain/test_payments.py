"""Payments, told as given, when, then."""

import pytest
from pydantic import ValidationError

from contracts import payments
from services.payments import provider
from services.payments.handlers import HANDLERS, REFUNDED_BEFORE
from stagepost.errors import BadMessage
from stagepost.testing import given

ASKED = {"caller": "fulfillment", "reference": "10248", "order_id": "10248"}

retrieve = payments.RetrievePayment(**ASKED, amount=2598, currency="EUR", payment_token="tok_ok")
refund = payments.RefundPayment(**ASKED)

charge = provider.Charge(
    order_id="10248",
    reference="fulfillment/10248",
    amount=2598,
    currency="EUR",
    payment_token="tok_ok",
)
ask_back = provider.Refund(order_id="10248", reference="fulfillment/10248", owed=(2598,))
ask_back_if_taken = ask_back.model_copy(update={"owed": (0, 2598)})

charged = provider.Charged(call=charge, accepted=True, charge_id="ch-1")
refused = provider.Charged(call=charge, accepted=False, reason="no funds")
given_back = provider.Refunded(call=ask_back, amount=2598)
nothing_to_give_back = provider.Refunded(call=ask_back_if_taken, amount=0)

received = payments.PaymentReceived(**ASKED, amount=2598, currency="EUR")
declined = payments.PaymentDeclined(**ASKED, reason="no funds")
barred = payments.PaymentDeclined(**ASKED, reason=REFUNDED_BEFORE)
refunded = payments.PaymentRefunded(**ASKED, amount=2598)
nothing_refunded = payments.PaymentRefunded(**ASKED, amount=0)


def test_a_payment_is_asked_of_the_provider() -> None:
    given(HANDLERS).when(retrieve).then(charge)


def test_money_that_the_provider_charged_is_received() -> None:
    given(HANDLERS, retrieve).when(charged).then(received)


def test_a_charge_that_the_provider_refuses_is_declined_with_its_reason() -> None:
    given(HANDLERS, retrieve).when(refused).then(declined)


def test_a_provider_that_gives_no_reason_still_declines() -> None:
    no_reason = provider.Charged(call=charge, accepted=False)

    given(HANDLERS, retrieve).when(no_reason).then(
        payments.PaymentDeclined(**ASKED, reason="declined by the provider")
    )


def test_asking_again_while_the_provider_thinks_charges_nothing_more() -> None:
    given(HANDLERS, retrieve).when(retrieve).then_nothing()


def test_asking_again_is_answered_with_what_came_of_it() -> None:
    given(HANDLERS, retrieve, charged).when(retrieve).then_only_says(received)
    given(HANDLERS, retrieve, refused).when(retrieve).then_only_says(declined)


def test_a_charge_that_is_answered_twice_counts_once() -> None:
    given(HANDLERS, retrieve, charged).when(charged).then_nothing()


def test_received_money_is_given_back_by_the_provider() -> None:
    given(HANDLERS, retrieve, charged).when(refund).then(ask_back)
    given(HANDLERS, retrieve, charged, refund).when(given_back).then(refunded)


def test_a_refund_while_the_provider_thinks_answers_the_charge_and_then_itself() -> None:
    given(HANDLERS, retrieve).when(refund).then(barred, ask_back_if_taken)
    given(HANDLERS, retrieve, refund).when(given_back).then(refunded)
    given(HANDLERS, retrieve, refund).when(nothing_to_give_back).then(nothing_refunded)


def test_a_charge_that_is_answered_after_the_refund_was_asked_for_is_not_received() -> None:
    given(HANDLERS, retrieve, refund).when(charged).then_nothing()
    given(HANDLERS, retrieve, refund, charged).when(given_back).then(refunded)


def test_a_refund_of_what_was_never_asked_for_gives_nothing_and_bars_it() -> None:
    given(HANDLERS).when(refund).then(nothing_refunded)
    given(HANDLERS, refund).when(retrieve).then_only_says(barred)


def test_a_refund_of_what_was_declined_gives_nothing_at_once() -> None:
    given(HANDLERS, retrieve, refused).when(refund).then_only_says(nothing_refunded)


def test_a_refund_that_is_asked_for_again_is_asked_of_the_provider_once() -> None:
    given(HANDLERS, retrieve, charged, refund).when(refund).then_nothing()


def test_a_refund_that_is_asked_for_again_is_answered_again() -> None:
    given(HANDLERS, retrieve, charged, refund, given_back).when(refund).then_only_says(refunded)
    given(HANDLERS, refund).when(refund).then_only_says(nothing_refunded)


def test_a_refund_that_is_answered_twice_counts_once() -> None:
    given(HANDLERS, retrieve, charged, refund, given_back).when(given_back).then_nothing()


def test_no_money_is_taken_once_it_was_given_back() -> None:
    given(HANDLERS, retrieve, charged, refund).when(retrieve).then_only_says(barred)
    given(HANDLERS, retrieve, charged, refund, given_back).when(retrieve).then_only_says(barred)


def test_a_refund_makes_the_charge_that_still_waits_void() -> None:
    assert provider.Refund.SUPERSEDES
    assert not provider.Charge.SUPERSEDES
    assert charge.key == ask_back.key


def test_the_provider_is_asked_once_for_a_reference_whatever_caused_it() -> None:
    assert provider.Charge.ONCE
    assert provider.Refund.ONCE
    assert charge.lane == ask_back.lane == "fulfillment/10248"


def test_two_callers_with_the_same_reference_have_two_payments() -> None:
    other = retrieve.model_copy(update={"caller": "ordering"})

    given(HANDLERS, retrieve, charged).when(other).then(
        charge.model_copy(update={"reference": "ordering/10248"})
    )


def test_a_payment_keeps_what_was_decided() -> None:
    assert given(HANDLERS).when(retrieve).topics == ["payments.Payment.Requested"]
    assert given(HANDLERS, retrieve).when(charged).topics == ["payments.Payment.Received"]
    assert given(HANDLERS, retrieve).when(refused).topics == ["payments.Payment.Declined"]
    assert given(HANDLERS, retrieve).when(refund).topics == ["payments.Payment.RefundRequested"]
    assert given(HANDLERS, retrieve, refund).when(given_back).topics == [
        "payments.Payment.Refunded"
    ]
    assert given(HANDLERS).when(refund).topics == ["payments.Payment.Barred"]


def test_an_answer_for_a_payment_that_nobody_asked_for_is_a_bad_message() -> None:
    with pytest.raises(BadMessage, match=r"payments\.Charge was answered for 'fulfillment/10248'"):
        given(HANDLERS).when(charged)


@pytest.mark.parametrize("amount", [2597, 2599, 0])
def test_a_charge_of_another_amount_is_no_answer(amount: int) -> None:
    with pytest.raises(ValidationError, match="were charged, not"):
        provider.Charged(call=charge, accepted=True, amount=amount, currency="EUR")


def test_a_charge_in_another_currency_is_no_answer() -> None:
    with pytest.raises(ValidationError, match="were charged, not"):
        provider.Charged(call=charge, accepted=True, amount=2598, currency="USD")


@pytest.mark.parametrize("amount", [2597, 2599, 0])
def test_a_refund_of_another_amount_than_was_taken_is_no_answer(amount: int) -> None:
    with pytest.raises(ValidationError, match="were given back, not"):
        provider.Refunded(call=ask_back, amount=amount)


@pytest.mark.parametrize("amount", [1, 2599])
def test_a_refund_of_what_may_not_have_been_taken_is_all_or_nothing(amount: int) -> None:
    with pytest.raises(ValidationError, match="were given back, not"):
        provider.Refunded(call=ask_back_if_taken, amount=amount)
