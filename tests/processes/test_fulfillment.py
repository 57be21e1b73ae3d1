"""Order fulfillment, told as given, when, then: every arrow of `services/fulfillment/flow.mmd`."""

from __future__ import annotations

import pytest

from contracts import fulfillment, inventory, ordering, payments, shipping
from services.fulfillment.process import (
    AnswersDue,
    Cancel,
    GoodsDue,
    Retry,
    SlaDue,
    order_fulfillment,
)
from services.fulfillment.states import (
    AwaitingBoth,
    AwaitingPayment,
    AwaitingStock,
    Confirmed,
    Confirming,
    Fetching,
    Rejected,
    Rejecting,
    Shipping,
    ShippingCancelled,
    UndoingBoth,
    UndoingPayment,
    UndoingStock,
)
from stagepost.messages import Command, Message, example
from stagepost.process import State
from stagepost.testing import given

ORDER = {"order_id": "10248"}
ASKED = {**ORDER, "caller": "fulfillment", "reference": "10248"}

placed = example(ordering.OrderPlaced, **ORDER)

retrieve = payments.RetrievePayment(
    **ASKED, amount=placed.amount, currency=placed.currency, payment_token=placed.payment_token
)
reserve = inventory.ReserveStock(**ASKED, lines=placed.lines)
fetch = inventory.FetchGoods(**ASKED)
ship = shipping.ShipGoods(**ASKED, lines=placed.lines, ship_to=placed.ship_to)
refund = payments.RefundPayment(**ASKED)
release = inventory.ReleaseStock(**ASKED)
confirm = ordering.ConfirmOrder(**ASKED, cancellation_too_late=False)
confirm_all_the_same = ordering.ConfirmOrder(**ASKED, cancellation_too_late=True)

answers_due = AnswersDue(**ORDER)
goods_due = GoodsDue(**ORDER)
sla_due = SlaDue(**ORDER)
retry = Retry(**ORDER)
given_up = Cancel(**ORDER)
cancelled = ordering.OrderCancellationRequested(**ORDER)

paid = payments.PaymentReceived(**ASKED, amount=placed.amount, currency=placed.currency)
declined = payments.PaymentDeclined(**ASKED, reason="no funds")
reserved = inventory.StockReserved(**ASKED)
sold_out = inventory.StockRejected(**ASKED, reason="out of stock")
fetched = inventory.GoodsFetched(**ASKED)
missing = inventory.GoodsMissing(**ASKED, reason="nothing is reserved")
shipped = shipping.GoodsShipped(**ASKED, tracking="trk-1")
refused = shipping.ShipmentRefused(**ASKED, reason="no such street")
refunded = payments.PaymentRefunded(**ASKED, amount=placed.amount)
released = inventory.StockReleased(**ASKED)
confirmed = example(ordering.OrderConfirmed, **ASKED)

TO_FETCHING = (placed, paid, reserved)
TO_SHIPPING = (*TO_FETCHING, fetched)

HISTORIES: dict[type[State], tuple[Message, ...]] = {
    AwaitingBoth: (placed,),
    AwaitingPayment: (placed, reserved),
    AwaitingStock: (placed, paid),
    Fetching: TO_FETCHING,
    Shipping: TO_SHIPPING,
    ShippingCancelled: (*TO_SHIPPING, cancelled),
    Confirming: (*TO_SHIPPING, shipped),
    UndoingBoth: (placed, cancelled),
    UndoingPayment: (placed, sold_out),
    UndoingStock: (placed, declined),
    Rejecting: (placed, sold_out, refunded),
}
RECALLABLE = [AwaitingBoth, AwaitingPayment, AwaitingStock, Fetching]


def reject(reason: str) -> ordering.RejectOrder:
    return ordering.RejectOrder(**ASKED, reason=reason)


def rejected(reason: str) -> ordering.OrderRejected:
    return example(ordering.OrderRejected, **ASKED, reason=reason)


# All goes well


def test_a_placed_order_asks_for_payment_and_stock_at_once_within_a_time_frame() -> None:
    given(order_fulfillment).when(placed).then(retrieve, reserve, answers_due, sla_due)


@pytest.mark.parametrize("first", [paid, reserved], ids=["payment", "stock"])
def test_one_answer_alone_starts_nothing(first: Message) -> None:
    given(order_fulfillment, placed).when(first).then_nothing()


@pytest.mark.parametrize(
    ("first", "second"), [(paid, reserved), (reserved, paid)], ids=["stock last", "payment last"]
)
def test_when_both_have_answered_the_goods_are_fetched(first: Message, second: Message) -> None:
    given(order_fulfillment, placed, first).when(second).then(fetch, goods_due)


def test_fetched_goods_are_shipped() -> None:
    given(order_fulfillment, *TO_FETCHING).when(fetched).then(ship)


def test_a_shipped_order_is_confirmed() -> None:
    given(order_fulfillment, *TO_SHIPPING).when(shipped).then(confirm)


def test_a_confirmed_order_is_the_end() -> None:
    end = given(order_fulfillment, *TO_SHIPPING, shipped).when(confirmed)

    end.then_nothing()
    assert end.state == Confirmed()


# Somebody refuses


@pytest.mark.parametrize("before", [(), (reserved,)], ids=["before stock", "after stock"])
def test_a_declined_payment_releases_the_stock(before: tuple[Message, ...]) -> None:
    given(order_fulfillment, placed, *before).when(declined).then(release)


@pytest.mark.parametrize("before", [(), (paid,)], ids=["before payment", "after payment"])
def test_rejected_stock_gives_the_money_back(before: tuple[Message, ...]) -> None:
    given(order_fulfillment, placed, *before).when(sold_out).then(refund)


def test_missing_goods_undo_both() -> None:
    given(order_fulfillment, *TO_FETCHING).when(missing).then(refund, release)


def test_a_refused_shipment_undoes_both() -> None:
    given(order_fulfillment, *TO_SHIPPING).when(refused).then(refund, release)


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ((placed, declined, released), "no funds"),
        ((placed, sold_out, refunded), "stock: out of stock"),
        ((*TO_FETCHING, missing, refunded, released), "goods: nothing is reserved"),
        ((*TO_SHIPPING, refused, refunded, released), "shipment: no such street"),
        ((placed, answers_due, refunded, released), "timed out waiting for payment and stock"),
        ((placed, reserved, answers_due, refunded, released), "timed out waiting for payment"),
        ((placed, paid, answers_due, refunded, released), "timed out waiting for stock"),
        ((*TO_FETCHING, goods_due, refunded, released), "timed out waiting for goods"),
        ((placed, cancelled, refunded, released), "cancelled by the customer"),
        ((placed, given_up, refunded, released), "cancelled by the operator"),
        ((*TO_SHIPPING, cancelled, refused, refunded, released), "cancelled by the customer"),
        ((*TO_SHIPPING, given_up, refused, refunded, released), "cancelled by the operator"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_once_all_is_undone_the_order_is_rejected_with_its_reason(
    history: tuple[Message, ...], reason: str
) -> None:
    *before, last = history
    given(order_fulfillment, *before).when(last).then(reject(reason))


def test_a_reason_of_any_length_makes_a_reason() -> None:
    long_winded = inventory.StockRejected(**ASKED, reason="x" * 200)

    given(order_fulfillment, placed, long_winded).when(refunded).then(reject("stock: " + "x" * 193))


# Somebody is late


@pytest.mark.parametrize("before", [(), (paid,), (reserved,)], ids=["both", "stock", "payment"])
def test_an_answer_that_is_missing_in_time_undoes_both(before: tuple[Message, ...]) -> None:
    given(order_fulfillment, placed, *before).when(answers_due).then(refund, release)


def test_goods_that_are_not_fetched_in_time_undo_both() -> None:
    given(order_fulfillment, *TO_FETCHING).when(goods_due).then(refund, release)


@pytest.mark.parametrize("late", [paid, declined, reserved, sold_out], ids=lambda m: m.TYPE)
def test_a_late_answer_changes_nothing_for_it_is_undone_already(late: Message) -> None:
    undone = given(order_fulfillment, placed, answers_due)

    after = undone.when(late)

    after.then_nothing()
    assert after.state == undone.state


@pytest.mark.parametrize("kind", [Fetching, Shipping, Confirming, UndoingBoth, Rejecting])
def test_a_time_frame_that_was_kept_is_forgotten(kind: type[State]) -> None:
    given(order_fulfillment, *HISTORIES[kind]).when(answers_due).then_nothing()


# Somebody cancels


@pytest.mark.parametrize("who", [cancelled, given_up], ids=["customer", "operator"])
@pytest.mark.parametrize("kind", RECALLABLE)
def test_a_cancellation_before_the_carrier_is_asked_undoes_both(
    kind: type[State], who: Message
) -> None:
    given(order_fulfillment, *HISTORIES[kind]).when(who).then(refund, release)


@pytest.mark.parametrize("who", [cancelled, given_up], ids=["customer", "operator"])
def test_a_cancellation_after_that_waits_for_the_carrier(who: Message) -> None:
    given(order_fulfillment, *TO_SHIPPING).when(who).then_nothing()


@pytest.mark.parametrize("who", [cancelled, given_up], ids=["customer", "operator"])
def test_it_came_too_late_if_the_parcel_left(who: Message) -> None:
    given(order_fulfillment, *TO_SHIPPING, who).when(shipped).then(confirm_all_the_same)


@pytest.mark.parametrize("who", [cancelled, given_up], ids=["customer", "operator"])
def test_it_has_its_way_if_the_carrier_refuses(who: Message) -> None:
    given(order_fulfillment, *TO_SHIPPING, who).when(refused).then(refund, release)


@pytest.mark.parametrize(
    "kind", [ShippingCancelled, Confirming, UndoingBoth, UndoingPayment, UndoingStock, Rejecting]
)
def test_to_cancel_once_more_or_after_all_is_over_changes_nothing(kind: type[State]) -> None:
    given(order_fulfillment, *HISTORIES[kind]).when(cancelled).then_nothing()


# The undo


@pytest.mark.parametrize(
    ("first", "second"),
    [(refunded, released), (released, refunded)],
    ids=["money first", "stock first"],
)
def test_the_order_is_rejected_when_both_are_undone_and_not_before(
    first: Message, second: Message
) -> None:
    given(order_fulfillment, placed, cancelled).when(first).then_nothing()
    given(order_fulfillment, placed, cancelled, first).when(second).then(
        reject("cancelled by the customer")
    )


def test_a_rejected_order_is_the_end() -> None:
    end = given(order_fulfillment, *HISTORIES[Rejecting]).when(rejected("stock: out of stock"))

    end.then_nothing()
    assert end.state == Rejected(reason="stock: out of stock")


@pytest.mark.parametrize("kind", [Confirming, Rejecting])
def test_ordering_has_the_last_word_on_how_the_order_ended(kind: type[State]) -> None:
    asked = given(order_fulfillment, *HISTORIES[kind])

    assert asked.when(confirmed).state == Confirmed()
    assert asked.when(rejected("by hand")).state == Rejected(reason="by hand")


# Until then


@pytest.mark.parametrize("kind", HISTORIES)
def test_an_order_that_takes_too_long_is_told_and_goes_on(kind: type[State]) -> None:
    before = given(order_fulfillment, *HISTORIES[kind])

    after = before.when(sla_due)

    after.then(fulfillment.FulfillmentOverdue(**ORDER, state=kind.__name__))
    assert after.state == before.state


@pytest.mark.parametrize(
    ("kind", "unanswered"),
    [
        (AwaitingBoth, (retrieve, reserve)),
        (AwaitingPayment, (retrieve,)),
        (AwaitingStock, (reserve,)),
        (Fetching, (fetch,)),
        (Shipping, (ship,)),
        (ShippingCancelled, (ship,)),
        (Confirming, (confirm,)),
        (UndoingBoth, (refund, release)),
        (UndoingPayment, (refund,)),
        (UndoingStock, (release,)),
        (Rejecting, (reject("stock: out of stock"),)),
    ],
)
def test_a_retry_asks_again_what_is_not_answered(
    kind: type[State], unanswered: tuple[Command, ...]
) -> None:
    before = given(order_fulfillment, *HISTORIES[kind])

    after = before.when(retry)

    after.then(*unanswered)
    assert after.state == before.state


def test_a_retry_repeats_that_the_cancellation_came_too_late() -> None:
    given(order_fulfillment, *TO_SHIPPING, cancelled, shipped).when(retry).then(
        confirm_all_the_same
    )


# All together


def test_the_histories_lead_where_they_say() -> None:
    told = {kind: type(given(order_fulfillment, *past).state) for kind, past in HISTORIES.items()}

    assert told == {kind: kind for kind in HISTORIES}


@pytest.mark.parametrize(
    ("history", "again"),
    [
        ((placed,), placed),
        ((placed, paid), paid),
        (TO_FETCHING, reserved),
        (TO_SHIPPING, fetched),
        ((*TO_SHIPPING, shipped), shipped),
        ((placed, declined), declined),
        ((placed, cancelled, refunded), refunded),
    ],
    ids=lambda value: value.TYPE if isinstance(value, Message) else "",
)
def test_a_repeated_message_does_nothing(history: tuple[Message, ...], again: Message) -> None:
    reaction = order_fulfillment.react(given(order_fulfillment, *history).state, again)

    assert not reaction.heeded
