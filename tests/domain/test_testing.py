"""The language of these tests can say no."""

import pytest

from contracts import payments
from services.payments.handlers import HANDLERS
from stagepost.testing import given

refund = payments.RefundPayment(caller="fulfillment", reference="10248", order_id="10248")
refunded = payments.PaymentRefunded(
    caller="fulfillment", reference="10248", order_id="10248", amount=0
)


def test_then_fails_where_something_else_is_sent() -> None:
    with pytest.raises(AssertionError):
        given(HANDLERS).when(refund).then()
    with pytest.raises(AssertionError):
        given(HANDLERS).when(refund).then(refunded.model_copy(update={"amount": 1}))
    with pytest.raises(AssertionError):
        given(HANDLERS).when(refund).then(refunded, refunded)


def test_then_only_says_fails_where_something_happened() -> None:
    with pytest.raises(AssertionError):
        given(HANDLERS).when(refund).then_only_says(refunded)


def test_then_nothing_fails_where_something_is_said() -> None:
    with pytest.raises(AssertionError):
        given(HANDLERS, refund).when(refund).then_nothing()
