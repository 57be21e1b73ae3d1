"""A change that breaks somebody is refused, with who it is; a harmless one passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
)

from contracts import fulfillment, ordering, payments
from contracts.values import Amount
from stagepost import messages
from stagepost.engine.contracts.compare import OF_BEFORE, OF_NOW, Rule
from stagepost.engine.contracts.judge import (
    ALTERED,
    ANY,
    ASTRAY,
    GONE,
    NEW,
    NOT_OPEN,
    OLD,
    UNREADABLE,
    problems,
)
from stagepost.engine.contracts.release import golden_of, unreleased
from stagepost.engine.contracts.shown import text_of
from stagepost.messages import Answer, Event, Message
from tests.contracts.cases import BREAKING, HARMLESS, LEAF, one, unit
from tests.contracts.changed import Fields, changed, found, released

pytestmark = pytest.mark.usefixtures("registry")


@pytest.mark.parametrize("name", BREAKING)
def test_a_breaking_change_is_refused_with_its_field_and_who_it_breaks(name: str) -> None:
    was, now, pointer, rule = BREAKING[name]

    event, *_ = found(payments.PaymentReceived, was, now)
    command, *_ = found(payments.RetrievePayment, was, now)

    assert event.fault[:2] == command.fault[:2] == (pointer, rule)
    assert event.ends == (["payments"], ["fulfillment", "inventory"])
    assert command.ends == (["fulfillment"], ["payments"])


def test_every_rule_of_the_comparison_is_tried() -> None:
    of_fields = {rule for *_, rule in BREAKING.values()}

    assert {*of_fields, Rule.KIND, Rule.KEY, Rule.ANSWERS} == set(Rule)


def test_another_key_is_refused() -> None:
    (problem,) = found(ordering.OrderPlaced, {}, {}, KEY="customer_id")

    assert problem.fault[:3] == ("", Rule.KEY, '"customer_id", was "order_id"')
    assert problem.ends.readers == ["fulfillment", "payments", "inventory", "shipping"]


@pytest.mark.parametrize(
    ("message", "base", "what"),
    [
        (ordering.OrderConfirmed, Event, '"event", was "answer"'),
        (payments.PaymentDeclined, Answer, '"answer", was "refusal"'),
    ],
)
def test_another_kind_is_refused(message: type[Message], base: type, what: str) -> None:
    same = {name: (info.annotation, info) for name, info in message.model_fields.items()}

    (problem,) = found(message, {}, same, base=base)

    assert problem.fault[:3] == ("", Rule.KIND, what)
    assert "fulfillment" in problem.ends.readers


def test_an_answer_to_another_command_is_refused() -> None:
    (problem,) = found(payments.PaymentReceived, {}, {}, to=payments.RefundPayment)

    what = '["payments.RefundPayment"], was ["payments.RetrievePayment"]'
    assert problem.fault[:3] == ("", Rule.ANSWERS, what)
    assert problem.ends.readers == ["fulfillment", "inventory"]


def test_who_read_it_when_it_was_released_is_broken_though_they_read_it_no_more() -> None:
    (before,) = released(payments.PaymentReceived)
    now = changed(payments.PaymentReceived, {"amount": None})

    (problem,) = problems([replace(before, readers=["loyalty", "inventory"])], [now])

    assert problem.ends.readers == ["fulfillment", "inventory", "loyalty"]


def test_a_message_that_is_gone_is_said_with_who_read_it_when_it_was_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = released(payments.PaymentReceived)
    monkeypatch.setattr("stagepost.engine.contracts.judge.ends_everywhere", dict)

    (problem,) = problems(before, [])

    assert problem.fault[:2] == ("", GONE)
    assert problem.ends.readers == ["fulfillment", "inventory"]


def test_a_message_that_is_gone_is_said_once_however_often_it_was_released() -> None:
    first = released(payments.PaymentReceived)
    grown = changed(payments.PaymentReceived, one(int, default=1))
    second = golden_of([grown], first, {})

    assert [one.fault.rule for one in problems([*first, *second], [])] == [GONE]


def test_where_nobody_reads_it_here_it_is_refused_all_the_same() -> None:
    (problem,) = found(fulfillment.FulfillmentOverdue, {}, {"state": None})

    assert problem.ends == (["fulfillment"], [])
    assert "breaks whoever reads it, though nobody here does: old readers" in text_of([problem])


def test_who_meets_what_follows_from_the_rule() -> None:
    gone = found(payments.RetrievePayment, {}, {"amount": None})
    come = found(payments.RetrievePayment, {}, one(int))
    other = found(payments.RetrievePayment, unit("cent"), unit("euro"))

    assert [one.fault.meets for one in (*gone, *come, *other)] == [[OLD], [NEW], [OLD, NEW]]
    assert OF_BEFORE.isdisjoint(OF_NOW)


def test_it_is_said_with_field_rule_consumer_and_ways_out() -> None:
    assert text_of(found(payments.RetrievePayment, {}, {"fee": (Amount, ...)})) == (
        "payments.RetrievePayment 1 /fee: new required field: new, and without a default\n"
        "    breaks payments: new readers, old messages (sent by fulfillment)\n"
        "    ways out: a default, or VERSION = 2 with an upcast_v1_v2,"
        " or a new name, and the old one stays as it was\n"
        "\n"
        "1 thing breaks"
    )


# What no schema tells.


def test_a_body_that_a_validator_refuses_from_now_on_is_found_by_the_example() -> None:
    class Strict(payments.RetrievePayment):
        OWNER = "payments"

        @field_validator("amount")
        @classmethod
        def _only_euros(cls, amount: int) -> int:
            if amount % 100:
                raise ValueError("no cents")
            return amount

    before = released(payments.RetrievePayment)
    messages._REGISTRY[payments.RetrievePayment.TYPE] = Strict
    Strict.TYPE = payments.RetrievePayment.TYPE

    (problem,) = problems(before, [Strict])

    assert problem.fault[:2] == ("", UNREADABLE)
    assert "/amount: Value error, no cents" in problem.fault.what


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("amount", {"exclude": True}),
        ("total", {"validation_alias": "amount"}),
        ("total", {"validation_alias": AliasChoices("amount", "total")}),
    ],
    ids=["not written", "read by another name", "read by either, written by the new one"],
)
def test_what_is_not_written_as_it_is_read_is_found_though_the_schema_is_the_same(
    name: str, field: dict[str, Any]
) -> None:
    now = {"amount": None, name: (Amount, Field(**field))}

    problems = found(payments.RetrievePayment, {}, now)

    assert {one.fault.rule for one in problems} == {ALTERED, ASTRAY}


def test_a_serializer_of_another_form_is_found_by_the_example() -> None:
    euros = Annotated[int, PlainSerializer(str)]

    (problem,) = found(payments.RetrievePayment, one(int), one(euros))

    assert problem.fault[:2] == ("", ALTERED)
    assert '"it":"1"' in problem.fault.what
    assert problem.fault.meets == (OLD, NEW)


@pytest.mark.parametrize("field", [{"alias": "feeAmount"}, {"exclude": True}])
def test_a_new_field_that_nobody_would_read_is_refused(field: dict[str, Any]) -> None:
    now = {"fee": (Amount, Field(default=0, **field))}

    (problem,) = found(payments.RetrievePayment, {}, now)

    assert problem.fault[:2] == ("", ASTRAY)
    assert "RetrievePayment: fee" in problem.fault.what


@pytest.mark.parametrize("extra", ["forbid", "allow"])
def test_who_does_not_ignore_unknown_fields_is_refused_before_it_is_released(extra: Any) -> None:
    class Part(BaseModel):
        model_config = ConfigDict(extra=extra)
        value: int

    message = changed(payments.RetrievePayment, {"part": (Part, Field(**LEAF))})

    (problem,) = problems([], [message])

    assert problem.fault[:3] == ("", NOT_OPEN, "Part forbids or keeps them")
    assert problem.fault.meets == [ANY]


# What is harmless.


MORE_FIELDS = {name for name in HARMLESS if name.endswith(("with a default", "a field more"))}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_change_passes(name: str) -> None:
    was, now = HARMLESS[name]

    assert found(payments.PaymentReceived, was, now) == []


@pytest.mark.parametrize("name", HARMLESS)
def test_only_a_field_more_is_something_new_to_release(name: str) -> None:
    was, now = (changed(payments.PaymentReceived, fields) for fields in HARMLESS[name])

    assert unreleased(released(was), [now]) == ([now] if name in MORE_FIELDS else [])


def test_the_unit_of_what_may_be_null_can_stand_at_the_number_or_beside() -> None:
    gram: Fields = {"json_schema_extra": {"x-unit": "gram"}}
    inside, beside = one(Annotated[int, Field(**gram)] | None), one(int | None, **gram)

    assert found(payments.PaymentReceived, inside, beside) == []
    assert found(payments.PaymentReceived, beside, inside) == []


def test_a_new_message_passes() -> None:
    refunded, received = payments.PaymentRefunded, payments.PaymentReceived

    assert problems(released(refunded), [refunded, received]) == []
