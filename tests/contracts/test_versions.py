"""Versions of messages: what is lifted, what is refused, and what is held to a version."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from contracts import payments
from contracts.values import Amount
from stagepost.engine.contracts.compare import Rule
from stagepost.engine.contracts.judge import BACK, NO_UPCASTER, UNREADABLE, problems
from stagepost.engine.contracts.release import golden_of
from stagepost.errors import UnknownVersion, UnreadableMessage
from stagepost.messages import Message, decode, encode, example
from tests.contracts.cases import one
from tests.contracts.changed import Fields, changed, found, released

pytestmark = pytest.mark.usefixtures("registry")


def lifts(state: dict[str, Any]) -> None:
    state["total"] = state.pop("amount")


TOTAL: Fields = {"amount": None, "total": (Amount, ...)}


def test_a_new_version_with_an_upcaster_passes() -> None:
    said = {"VERSION": 2, "upcast_v1_v2": staticmethod(lifts)}

    assert found(payments.RetrievePayment, {}, TOTAL, **said) == []
    assert found(payments.RetrievePayment, {}, TOTAL, **said, KEY="reference") == []


def test_a_new_version_without_an_upcaster_is_refused() -> None:
    (problem,) = found(payments.RetrievePayment, {}, TOTAL, VERSION=2)

    assert problem.fault[:3] == ("", NO_UPCASTER, "version 2 has no upcast_v1_v2")
    assert problem.ends.readers == ["payments"]


@pytest.mark.parametrize(
    ("upcaster", "reason"),
    [
        (lambda _: None, "/total: Field required"),
        (lambda state: state["fee"], "KeyError('fee')"),
        (lambda state: state.update(total=state["amount"] // 0), "ZeroDivisionError("),
    ],
    ids=["one that does not make it fit", "one that fails", "one that fails otherwise"],
)
def test_a_new_version_with_an_upcaster_that_does_not_lift_is_refused(
    upcaster: Callable[[dict[str, Any]], None], reason: str
) -> None:
    said = {"VERSION": 2, "upcast_v1_v2": staticmethod(upcaster)}

    (problem,) = found(payments.RetrievePayment, {}, TOTAL, **said)

    assert problem.fault[:2] == ("", UNREADABLE)
    assert reason in problem.fault.what


def test_a_version_does_not_go_back() -> None:
    before = released(changed(payments.RetrievePayment, {}, VERSION=2))

    (problem,) = problems(before, [changed(payments.RetrievePayment, {})])

    assert problem.fault[:3] == ("", BACK, "VERSION is 1, and 2 is released")


def test_a_field_that_was_added_and_released_is_held_to_the_same_rules() -> None:
    first = released(payments.RetrievePayment)
    grown = changed(payments.RetrievePayment, one(int, default=1))
    (second,) = golden_of([grown], first, {})

    assert second.file == "payments.RetrievePayment.v1.2.json"
    assert problems([*first, second], [grown]) == []
    (problem,) = problems([*first, second], [changed(payments.RetrievePayment, {})])
    assert problem.fault[:2] == ("/it", Rule.REMOVED)
    grown = changed(payments.RetrievePayment, {"amount": None, **one(int, default=1)})
    assert [one.fault[:2] for one in problems([*first, second], [grown])] == [
        ("/amount", Rule.REMOVED)
    ]


# On the wire.

RETRIEVE = payments.RetrievePayment.TYPE
OLD_BODY = json.loads(encode(example(payments.RetrievePayment)))


def second() -> type[Message]:
    """Declare the second version, which calls the amount its total."""
    said = {"VERSION": 2, "upcast_v1_v2": staticmethod(lifts)}
    return changed(payments.RetrievePayment, TOTAL, **said)


def test_a_body_of_a_former_version_is_lifted_and_goes_on_as_one_of_now() -> None:
    second()

    message = decode(RETRIEVE, 1, json.dumps(OLD_BODY).encode())

    assert message.model_dump()["total"] == OLD_BODY["amount"]
    assert decode(RETRIEVE, 2, encode(message)) == message
    assert "amount" not in json.loads(encode(message))


def test_a_version_newer_than_this_release_is_refused_by_name() -> None:
    with pytest.raises(UnknownVersion, match=r"payments\.RetrievePayment has version 3, .* to 1:"):
        decode(RETRIEVE, 3, b"{}")


@pytest.mark.parametrize("body", [b"[]", b"1", b"{}", b"no json", b'{"amount": null}'])
def test_a_damaged_body_of_a_former_version_is_unreadable_as_one_of_now_is(body: bytes) -> None:
    second()

    for version in (1, 2):
        with pytest.raises(UnreadableMessage, match="does not fit its contract"):
            decode(RETRIEVE, version, body)


def test_readers_ignore_unknown_fields_and_writers_do_not_send_them() -> None:
    body = json.dumps(OLD_BODY | {"later": 1}).encode()

    message = decode(RETRIEVE, 1, body)

    assert json.loads(encode(message)) == OLD_BODY
    made = payments.RetrievePayment.model_validate(OLD_BODY | {"later": 1})
    assert json.loads(encode(made)) == OLD_BODY
