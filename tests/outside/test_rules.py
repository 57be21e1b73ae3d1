"""What provider and carrier do about a request, given their ledgers: no clock, no database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.outside import carrier, provider
from services.outside.behaviour import GRANTS, Behaviour, of_address, of_token
from services.outside.carrier import Dispatch, ParcelEntry
from services.outside.provider import Charge, ChargeEntry, Refund

CHARGE = Charge(
    order_id="10248",
    reference="fulfillment/10248",
    amount=2598,
    currency="EUR",
    payment_token="tok_ok",
)
REFUND = Refund(order_id="10248", reference="fulfillment/10248")
PARCEL = Dispatch.model_validate(
    {
        "order_id": "10248",
        "reference": "fulfillment/10248",
        "lines": [{"sku": "red-chair", "quantity": 2}, {"sku": "tea-set", "quantity": 3}],
        "ship_to": "1 Station Road, Reims",
    }
)


def charged(*asked: Charge | Refund) -> list[ChargeEntry]:
    """Return the ledger of one reference after these requests, each under a key of its own."""
    past: list[ChargeEntry] = []
    for number, one in enumerate(asked, start=1):
        decide: Any = provider.charge if isinstance(one, Charge) else provider.refund
        past.append(decide(one, f"key-{number}", tuple(past)))
    return past


def shipped(*asked: Dispatch) -> list[ParcelEntry]:
    past: list[ParcelEntry] = []
    for number, one in enumerate(asked, start=1):
        past.append(carrier.dispatch(one, f"key-{number}", tuple(past)))
    return past


def moved(entries: list[ChargeEntry]) -> list[tuple[str, int]]:
    return [(entry.kind, entry.amount) for entry in entries]


def answers(entries: list[ChargeEntry] | list[ParcelEntry]) -> list[dict[str, object]]:
    return [json.loads(entry.answer) for entry in entries]


def declined(reason: str) -> dict[str, object]:
    said = {"charge_id": None, "amount": None, "currency": None}
    return {"accepted": False, "reason": reason, **said}


def test_a_card_is_charged() -> None:
    ledger = charged(CHARGE)
    assert moved(ledger) == [("charge", 2598)]
    assert answers(ledger) == [
        {
            "accepted": True,
            "charge_id": "ch_key-1",
            "reason": None,
            "amount": 2598,
            "currency": "EUR",
        }
    ]


def test_a_card_is_declined() -> None:
    ledger = charged(CHARGE.model_copy(update={"payment_token": "tok_declined"}))
    assert moved(ledger) == [("declined", 0)]
    assert answers(ledger) == [declined("declined by the bank")]


def test_a_charge_asked_again_under_another_key_takes_nothing_and_is_told_again() -> None:
    ledger = charged(CHARGE, CHARGE)
    assert moved(ledger) == [("charge", 2598), ("repeated", 0)]
    assert answers(ledger)[1] == answers(ledger)[0]


@pytest.mark.parametrize("other", [{"amount": 2599}, {"currency": "USD"}])
def test_another_amount_for_a_charged_reference_is_declined(other: dict[str, object]) -> None:
    ledger = charged(CHARGE, CHARGE.model_copy(update=other))
    assert moved(ledger) == [("charge", 2598), ("declined", 0)]
    assert answers(ledger)[1]["reason"] == "already charged another amount"


def test_a_refund_gives_back_what_was_charged_and_bars_the_reference() -> None:
    ledger = charged(CHARGE, REFUND, CHARGE)
    assert moved(ledger) == [("charge", 2598), ("refund", -2598), ("declined", 0)]
    assert answers(ledger)[1:] == [
        {"amount": 2598},
        declined("barred"),
    ]


def test_a_refund_of_nothing_is_0_and_bars_the_reference() -> None:
    ledger = charged(REFUND, CHARGE)
    assert moved(ledger) == [("refund", 0), ("declined", 0)]
    assert answers(ledger)[0] == {"amount": 0}


def test_a_refund_asked_again_gives_back_nothing_more_and_tells_the_same() -> None:
    ledger = charged(CHARGE, REFUND, REFUND)
    assert moved(ledger) == [("charge", 2598), ("refund", -2598), ("refund", 0)]
    assert answers(ledger)[2] == {"amount": 2598}


def test_entries_of_a_reference_are_numbered() -> None:
    assert [entry.number for entry in charged(CHARGE, CHARGE, REFUND)] == [1, 2, 3]


def test_a_parcel_leaves_with_all_its_units() -> None:
    (entry,) = shipped(PARCEL)
    assert (entry.kind, entry.units, entry.lines) == ("dispatched", 5, PARCEL.lines)
    assert answers([entry]) == [{"accepted": True, "tracking": "trk_key-1", "reason": None}]


def test_an_address_refuses_the_parcel() -> None:
    (entry,) = shipped(PARCEL.model_copy(update={"ship_to": "12 REFUSED Lane, Reims"}))
    assert (entry.kind, entry.units, entry.lines) == ("refused", 0, ())
    assert answers([entry])[0]["accepted"] is False


def test_a_parcel_asked_again_under_another_key_does_not_leave_twice() -> None:
    ledger = shipped(PARCEL, PARCEL)
    assert [(entry.kind, entry.units) for entry in ledger] == [("dispatched", 5), ("repeated", 0)]
    assert answers(ledger)[1] == answers(ledger)[0]


def test_another_parcel_of_a_reference_that_left_is_refused() -> None:
    ledger = shipped(PARCEL, PARCEL.model_copy(update={"lines": PARCEL.lines[:1]}))
    assert [(entry.kind, entry.units) for entry in ledger] == [("dispatched", 5), ("refused", 0)]


@pytest.mark.parametrize(
    ("token", "behaviour"),
    [
        ("tok_ok", GRANTS),
        ("tok_declined", Behaviour(refuses=True)),
        ("tok_slow", Behaviour(late=True)),
        ("tok_down", Behaviour(down=True)),
        ("tok_lost_answer", Behaviour(lost_answers=2)),
        ("any other card", GRANTS),
    ],
)
def test_the_token_says_what_happens(token: str, behaviour: Behaviour) -> None:
    assert of_token(token) == behaviour


@pytest.mark.parametrize(
    ("address", "behaviour"),
    [
        ("1 Station Road, Reims", GRANTS),
        ("12 REFUSED Lane", Behaviour(refuses=True)),
        ("refused", Behaviour(refuses=True)),
        ("3 Slow Lane, Reims", Behaviour(late=True)),
        ("SLOW,DOWN", Behaviour(down=True)),
        ("4 Downing Street, Slowacki, Unrefused", GRANTS),
    ],
)
def test_a_word_of_the_address_says_what_happens(address: str, behaviour: Behaviour) -> None:
    assert of_address(address) == behaviour
