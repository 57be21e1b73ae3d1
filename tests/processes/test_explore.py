"""What is found out about a process by running it: its drawing, its way on, its limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts import ordering
from services.fulfillment import process
from services.fulfillment.process import order_fulfillment
from services.fulfillment.states import (
    AwaitingBoth,
    AwaitingPayment,
    Confirmed,
    Fetching,
    New,
    Rejected,
    Rejecting,
    ShippingCancelled,
    UndoingBoth,
)
from stagepost.explore import examples_of, mermaid, remaining, waits_for, walk
from stagepost.messages import Message
from stagepost.process import State

EXAMPLES = examples_of(order_fulfillment)
FLOW = Path(process.__file__).with_name("flow.mmd")

WHOLE_WAY = [
    "payments.PaymentReceived",
    "inventory.StockReserved",
    "inventory.GoodsFetched",
    "shipping.GoodsShipped",
    "ordering.OrderConfirmed",
]


def standing(kind: type[State]) -> State:
    return next(
        arrow.source for arrow in walk(order_fulfillment, EXAMPLES) if type(arrow.source) is kind
    )


def test_the_drawing_in_the_service_is_the_one_that_the_code_makes() -> None:
    assert FLOW.read_text() == mermaid(order_fulfillment, EXAMPLES) + "\n"


def test_a_drawing_is_the_same_however_often_it_is_made() -> None:
    assert mermaid(order_fulfillment, EXAMPLES) == mermaid(order_fulfillment, iter(EXAMPLES))


def test_messages_that_lead_to_the_same_share_an_arrow() -> None:
    assert (
        "    Fetching --> UndoingBoth: GoodsMissing or OrderCancellationRequested or GoodsDue"
        " or Cancel / RefundPayment, ReleaseStock"
    ) in mermaid(order_fulfillment, EXAMPLES).splitlines()


def test_what_is_sent_on_the_spot_stands_below_the_picture() -> None:
    assert "    %% Retry / FetchGoods in Fetching" in mermaid(order_fulfillment, EXAMPLES)


def test_a_walk_comes_by_every_state() -> None:
    visited = {type(arrow.source) for arrow in walk(order_fulfillment, EXAMPLES)}

    assert visited == set(order_fulfillment.states)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (New, ["ordering.OrderPlaced"]),
        (
            AwaitingBoth,
            [
                "payments.PaymentReceived",
                "payments.PaymentDeclined",
                "inventory.StockReserved",
                "inventory.StockRejected",
            ],
        ),
        (Fetching, ["inventory.GoodsFetched", "inventory.GoodsMissing"]),
        (UndoingBoth, ["payments.PaymentRefunded", "inventory.StockReleased"]),
        (Rejecting, ["ordering.OrderRejected"]),
        (Confirmed, []),
    ],
)
def test_a_state_waits_for_the_answers_that_move_it(kind: type[State], names: list[str]) -> None:
    assert waits_for(order_fulfillment, standing(kind), EXAMPLES) == names


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        (New, ["ordering.OrderPlaced", *WHOLE_WAY]),
        (AwaitingBoth, WHOLE_WAY),
        (AwaitingPayment, ["payments.PaymentReceived", *WHOLE_WAY[2:]]),
        (ShippingCancelled, ["shipping.GoodsShipped", "ordering.OrderConfirmed"]),
        (
            UndoingBoth,
            ["payments.PaymentRefunded", "inventory.StockReleased", "ordering.OrderRejected"],
        ),
        (Rejecting, ["ordering.OrderRejected"]),
        (Confirmed, []),
    ],
)
def test_what_remains_is_the_shortest_way_without_a_refusal(
    kind: type[State], steps: list[str]
) -> None:
    assert remaining(order_fulfillment, standing(kind), EXAMPLES) == steps


@pytest.mark.parametrize(
    "heard",
    [m for m in EXAMPLES if not isinstance(m, ordering.OrderPlaced)],
    ids=lambda m: m.TYPE,
)
def test_an_order_that_was_never_placed_is_nothing_to_us(heard: Message) -> None:
    reaction = order_fulfillment.react(order_fulfillment.initial, heard)

    assert not reaction.heeded
    assert (reaction.state, reaction.sends) == (order_fulfillment.initial, ())


@pytest.mark.parametrize("end", [Confirmed(), Rejected(reason="no funds")])
@pytest.mark.parametrize("heard", EXAMPLES, ids=lambda m: m.TYPE)
def test_what_comes_after_the_end_is_ignored(end: State, heard: Message) -> None:
    reaction = order_fulfillment.react(end, heard)

    assert not reaction.heeded
    assert (reaction.state, reaction.sends) == (end, ())


def test_it_hears_nothing_in_vain() -> None:
    heeded = {
        type(arrow.message) for arrow in walk(order_fulfillment, EXAMPLES) if arrow.reaction.heeded
    }

    assert heeded == {order_fulfillment.starts_on, *order_fulfillment.listens_to}
