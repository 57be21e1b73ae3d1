"""Payments where nobody commands it, told as given, when, then."""

from contracts import inventory, ordering, payments, shipping
from services.payments import provider
from services.payments.choreography import HANDLERS
from stagepost.messages import example
from stagepost.testing import given

OURS = {"caller": "ordering", "reference": "10248", "order_id": "10248"}

placed = example(ordering.OrderPlaced, order_id="10248", amount=2598)
cancelled = ordering.OrderCancellationRequested(order_id="10248")
no_goods = inventory.StockRejected(**OURS, reason="out of stock")
no_parcel = shipping.ShipmentRefused(**OURS, reason="no such road")

charge = provider.Charge(
    order_id="10248",
    reference="ordering/10248",
    amount=2598,
    currency="EUR",
    payment_token="tok_ok",
)
ask_back = provider.Refund(order_id="10248", reference="ordering/10248", owed=(2598,))
ask_back_if_taken = ask_back.model_copy(update={"owed": (0, 2598)})

charged = provider.Charged(call=charge, accepted=True, charge_id="ch-1")
refused = provider.Charged(call=charge, accepted=False, reason="no funds")
given_back = provider.Refunded(call=ask_back, amount=2598)

received = payments.PaymentReceived(**OURS, amount=2598, currency="EUR")
declined = payments.PaymentDeclined(**OURS, reason="no funds")
called_off = payments.PaymentDeclined(**OURS, reason="cancelled by the customer")
refunded = payments.PaymentRefunded(**OURS, amount=2598)


def test_an_order_is_charged() -> None:
    given(HANDLERS).when(placed).then(charge)


def test_what_the_provider_decides_is_told_in_the_name_of_ordering() -> None:
    given(HANDLERS, placed).when(charged).then(received)
    given(HANDLERS, placed).when(refused).then(declined)


def test_an_order_that_is_placed_twice_is_charged_once() -> None:
    given(HANDLERS, placed).when(placed).then_nothing()
    given(HANDLERS, placed, charged).when(placed).then_nothing()
    given(HANDLERS, placed, cancelled).when(placed).then_nothing()


def test_a_cancellation_while_the_provider_thinks_calls_the_charge_off() -> None:
    given(HANDLERS, placed).when(cancelled).then(called_off, ask_back_if_taken)
    given(HANDLERS, placed, cancelled).when(charged).then_nothing()
    given(HANDLERS, placed, cancelled, charged).when(given_back).then(refunded)


def test_a_cancellation_after_the_provider_decided_is_for_others_to_heed() -> None:
    given(HANDLERS, placed, charged).when(cancelled).then_nothing()
    given(HANDLERS, placed, refused).when(cancelled).then_nothing()


def test_a_cancellation_that_comes_twice_calls_off_once() -> None:
    given(HANDLERS, placed, cancelled).when(cancelled).then_nothing()
    given(HANDLERS, placed, cancelled, given_back).when(cancelled).then_nothing()


def test_money_for_which_there_are_no_goods_is_given_back() -> None:
    given(HANDLERS, placed, charged).when(no_goods).then(ask_back)
    given(HANDLERS, placed, charged, no_goods).when(given_back).then(refunded)


def test_money_for_which_no_parcel_leaves_is_given_back() -> None:
    given(HANDLERS, placed, charged).when(no_parcel).then(ask_back)


def test_money_is_given_back_once() -> None:
    given(HANDLERS, placed, charged, no_goods).when(no_goods).then_nothing()
    given(HANDLERS, placed, charged, no_goods, given_back).when(no_goods).then_nothing()


def test_what_is_refused_before_we_know_that_it_was_taken_is_given_back_as_well() -> None:
    """Others heard that it was: before our database was set back."""
    called_off = payments.PaymentDeclined(**OURS, reason="out of stock")
    given(HANDLERS, placed).when(no_goods).then(called_off, ask_back_if_taken)
    given(HANDLERS, placed, no_goods).when(charged).then_nothing()
    given(HANDLERS).when(no_parcel).then()
    given(HANDLERS, no_parcel).when(no_parcel).then_nothing()
    given(HANDLERS, no_parcel).when(placed).then(ask_back_if_taken)
    given(HANDLERS, no_parcel, placed).when(placed).then_nothing()
    given_back = provider.Refunded(call=ask_back_if_taken, amount=2598)
    given(HANDLERS, no_parcel, placed).when(given_back).then(refunded)


def test_where_nothing_was_taken_nothing_is_given_back() -> None:
    given(HANDLERS, placed, refused).when(no_parcel).then_nothing()


def test_nobody_commands() -> None:
    assert payments.RetrievePayment not in HANDLERS
    assert payments.RefundPayment not in HANDLERS
