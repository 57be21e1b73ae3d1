"""An event that this release cannot read stops whoever replays it; it says which, and why."""

from __future__ import annotations

import asyncio
import traceback
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent
from pydantic import BaseModel, ValidationError

from contracts import payments
from services.fulfillment.states import AwaitingBoth
from services.payments.payment import Payment
from services.payments.views import VIEWS, PaymentRow
from stagepost.aggregate import from_stored, stream_id, to_stored
from stagepost.engine.batch import Commit
from stagepost.engine.decisions import rebuild
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.tables_memory import MemoryTables
from stagepost.engine.views import Views
from stagepost.errors import UnreadableEvent, UnreadableStream
from tests.engine.stores import MemoryWorld, append, heard

RECEIVED = Payment.Received.TOPIC
NAME = stream_id(Payment.stream("fulfillment", "1"))
CANARY = "a-canary"
FUTURE = "payments.Payment.FromTheFuture"


@pytest.mark.parametrize(
    ("topic", "state", "fault"),
    [
        (FUTURE, b"{}", "this release does not know it: deploy the release that wrote it"),
        ("os:system", b"{}", "this release does not know it"),
        (Payment.TOPIC, b"{}", "this release does not know it"),
        (RECEIVED, b'{"class_version":9}', "it has version 9, this release knows up to 1: deploy"),
        (RECEIVED, b'{"class_version":"1"}', "TypeError"),
        (RECEIVED, b'{"charge_id"', "unexpected end of data"),
        (RECEIVED, b"[]", "TypeError"),
        (RECEIVED, b'{"charge_id":[]}', "/charge_id: Input should be a valid string"),
        (RECEIVED, b"{}", "/charge_id: Field required"),
    ],
)
def test_what_is_wrong_with_a_stored_event_is_said(topic: str, state: bytes, fault: str) -> None:
    with pytest.raises(UnreadableEvent) as raised:
        from_stored(StoredEvent(NAME, 2, topic, state))
    assert f"the event {topic}, version 2 of the stream {NAME}, cannot be read" in str(raised.value)
    assert fault in str(raised.value)


def test_what_a_damaged_event_says_stands_in_no_error_that_comes_of_it() -> None:
    damaged = StoredEvent(NAME, 2, RECEIVED, f'{{"charge_id":["{CANARY}"]}}'.encode())
    with pytest.raises(UnreadableEvent) as raised:
        from_stored(damaged)
    assert CANARY not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "kind", [Payment.Received, payments.RetrievePayment, AwaitingBoth, PaymentRow]
)
def test_what_does_not_fit_is_not_repeated(kind: type[BaseModel]) -> None:
    with pytest.raises(ValidationError) as raised:
        kind.model_validate({"charge_id": [CANARY], "order_id": [CANARY]})
    assert CANARY not in str(raised.value)


async def from_the_future(topic: str = FUTURE, state: bytes = b"{}") -> MemoryStore:
    """A store in which the third of four events is of a newer release."""
    store = MemoryWorld.new().store
    payment = Payment.bar(caller="fulfillment", reference="1", order_id="1")
    payment.request_refund(reason="late")
    known = [to_stored(event) for event in payment.collect_events()]  # type: ignore[arg-type]
    newer = StoredEvent(NAME, 3, topic, state)
    refunded = StoredEvent(NAME, 4, Payment.Refunded.TOPIC, b'{"amount":1}')
    await append(store, Commit(heard(id=uuid4()), events=[*known, newer, refunded]))
    return store


@pytest.mark.parametrize(
    ("topic", "state"), [(FUTURE, b"{}"), (Payment.RefundRequested.TOPIC, b'{"class_version":9}')]
)
async def test_a_view_stops_at_it_and_says_its_position(topic: str, state: bytes) -> None:
    store, tables = await from_the_future(topic, state), MemoryTables()
    views = Views(VIEWS, store, tables)
    with pytest.raises(UnreadableEvent, match=f"the event {topic}, at position 3, cannot be read"):
        await views.run(asyncio.Event())
    assert await tables.positions(["payments"]) == {"payments": 0}


async def test_a_service_that_loads_it_says_which_it_is() -> None:
    found = (await rebuild(await from_the_future(), [NAME]))[NAME]
    assert isinstance(found, UnreadableStream)
    assert f"the event {FUTURE}, version 3 of the stream {NAME}, cannot" in str(found)
