"""Listening: patterns of subjects, and which of them stand for something."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stagepost.engine.flow import Flow
from stagepost.engine.listening import Heard, check_pattern, matches
from stagepost.errors import BadSettings

ASKS = {"webshop": ("payments.RetrievePayment",)}


@pytest.mark.parametrize(
    ("pattern", "subject", "fits"),
    [
        (">", "payments.event.PaymentReceived", True),
        ("payments.event.>", "payments.event.PaymentReceived", True),
        ("payments.event.PaymentReceived", "payments.event.PaymentReceived", True),
        ("payments.*.*", "payments.event.PaymentReceived", True),
        ("*.command.payments.*", "fulfillment.command.payments.RetrievePayment", True),
        ("payments.event", "payments.event.PaymentReceived", False),
        ("payments.event.PaymentReceived.>", "payments.event.PaymentReceived", False),
        ("payments.*", "payments.event.PaymentReceived", False),
        ("shipping.>", "payments.event.PaymentReceived", False),
    ],
)
def test_a_pattern_stands_for_subjects_as_on_nats(
    pattern: str, subject: str, *, fits: bool
) -> None:
    assert matches(pattern, subject) is fits


@pytest.mark.parametrize(
    "pattern",
    [
        ">",
        "payments.event.>",
        "*.command.payments.*",
        "EXTERNAL.>",
        "EXTERNAL.operator.command.payments.RetrievePayment",
        "EXTERNAL.webshop.command.payments.RetrievePayment",
        "*.event.NotificationSent",
    ],
)
def test_what_may_be_heard_can_be_asked_for(pattern: str) -> None:
    check_pattern(pattern, Flow(external=ASKS))


@pytest.mark.parametrize("pattern", ["", "a..b", ".a", "a.", "a b", "a.>.b", ">>", "a>"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(BadSettings, match="is no pattern of subjects"):
        check_pattern(pattern, Flow())


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("payments.event.PaymentRecieved", "did you mean payments.event.PaymentReceived"),
        ("payment.>", "there is no subject 'payment.>'"),
        ("EXTERNAL.webshop.command.payments.RefundPayment", "there is no subject"),
    ],
)
def test_what_nothing_stands_for_is_refused_with_what_is_near(pattern: str, said: str) -> None:
    with pytest.raises(BadSettings) as refused:
        check_pattern(pattern, Flow(external=ASKS))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("flow", "pattern"),
    [
        (Flow("synchronous"), "fulfillment.command.>"),
        (Flow("synchronous"), "payments.event.PaymentReceived"),
        (Flow(transports={"default": "http"}), ">"),
    ],
)
def test_what_does_not_go_over_nats_here_is_told(flow: Flow, pattern: str) -> None:
    with pytest.raises(BadSettings, match="goes over NATS in this stack"):
        check_pattern(pattern, flow)


def test_a_message_shows_what_it_is_about_and_garbage_as_it_is() -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    told = Heard(at, "a.event.B", {"ce-subject": "caf%C3%A9"}, b'{"n": 1}')
    assert (told.key, told.data) == ("café", {"n": 1})
    assert Heard(at, "a.event.B", {}, b"\xff{").data == "\ufffd{"
