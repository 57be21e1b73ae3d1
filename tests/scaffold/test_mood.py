"""A command is said in the imperative, an event is told in the past tense."""

from __future__ import annotations

import pytest

from stagepost.engine.discovery import find_messages
from stagepost.engine.scaffold.mood import check_command, check_event
from stagepost.errors import BadSettings
from stagepost.messages import Command


@pytest.mark.parametrize("message", find_messages(), ids=lambda message: message.TYPE)
def test_the_messages_that_there_are_keep_the_rules(message: type[Command]) -> None:
    check = check_command if issubclass(message, Command) else check_event
    check(message.__name__)


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("PaymentReceived", "ReceivePayment"),
        ("OrderShipped", "ShipOrder"),
        ("CustomerNotified", "NotifyCustomer"),
        ("OrderCancelled", "CancelOrder"),
        ("WelcomeLetterSent", "SendWelcomeLetter"),
        ("StockHeld", "HoldStock"),
        ("InvoiceSettled", "SettleInvoice"),
        ("CaseTriaged", "TriageCase"),
        ("ReturnedGoods", "ReturnGoods"),
        ("ReceivingPayment", "ReceivePayment"),
        ("TakingMoney", "TakeMoney"),
        ("CancellationRequest", "RequestCancellation"),
        ("PaymentRetrieval", "RetrievePayment"),
    ],
)
def test_what_asks_for_nothing_is_no_command(name: str, better: str) -> None:
    with pytest.raises(BadSettings, match=f"as {better}, not as {name}; --force takes it"):
        check_command(name)


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("ReceivePayment", "PaymentReceived"),
        ("ChargebackReceive", "ChargebackReceived"),
        ("ChargebackReceiving", "ChargebackReceived"),
        ("SendOrder", "OrderSent"),
        ("OrderConfirm", "OrderConfirmed"),
        ("CancellationRequest", "CancellationRequested"),
        ("TakeMoney", "MoneyTaken"),
        ("SubmitClaim", "ClaimSubmitted"),
        ("DenyClaim", "ClaimDenied"),
        ("ShipGoods", "GoodsShipped"),
        ("PaymentReceipt", "PaymentReceived"),
    ],
)
def test_what_tells_of_nothing_past_is_no_event(name: str, better: str) -> None:
    with pytest.raises(BadSettings, match=f"as {better}, not as {name}; --force takes it"):
        check_event(name)


@pytest.mark.parametrize(
    "name",
    [
        *("VetCustomer", "FeedAnimal", "BringGoods", "SMSCustomer", "Ship"),
        *("SetLimit", "PutAway", "ReadMeter", "Reset", "RequestReset"),
    ],
)
def test_what_asks_is_a_command(name: str) -> None:
    check_command(name)


@pytest.mark.parametrize("name", ["FundsHeld", "TermsAgreed", "OrderLate", "GoodsMissing", "Paid"])
def test_what_tells_what_is_so_by_now_is_an_event(name: str) -> None:
    check_event(name)


@pytest.mark.parametrize("name", ["SpeedNeed", "HundredBed"])
def test_what_only_looks_like_the_past_is_none(name: str) -> None:
    with pytest.raises(BadSettings):
        check_event(name)
