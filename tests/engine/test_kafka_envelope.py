"""What comes over Kafka is one of our messages, or is left alone; and what is missing is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat

from stagepost.engine.envelope import Envelope, Place
from stagepost.engine.transports.kafka_envelope import (
    Trail,
    attributes_of,
    headers_of,
    last_missed,
    read_envelope,
    read_place,
    read_trail,
)
from tests.engine.cloud_events import ASKED, assert_reads_the_same

TOLD = replace(
    ASKED,
    type="fulfillment.FulfillmentOverdue",
    kind="event",
    causation=None,
    recipient=None,
    traceparent=None,
)
BEFORE = Trail("payments.RetrievePayment=1.6 shipping.ShipGoods=1.3")

GOLDEN = {
    "content-type": b"application/json",
    "ce_specversion": b"1.0",
    "ce_id": b"0198c3a0-7d2e-7000-8000-0123456789ab",
    "ce_type": b"payments.RetrievePayment",
    "ce_source": b"fulfillment",
    "ce_subject": b'10 % \xc3\xa0 la "Stra\xc3\x9fe"',
    "ce_version": b"2",
    "ce_kind": b"command",
    "ce_correlationid": b"0198c3a0-7d2e-7000-8000-000000000001",
    "ce_causationid": b"0198c3a0-7d2e-7000-8000-000000000002",
    "ce_time": b"2026-10-01T12:30:00.250000+00:00",
    "ce_traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "ce_incarnation": b"1",
    "ce_position": b"7",
    "ce_recipient": b"payments",
    "ce_previous": b"payments.RetrievePayment=1.6 shipping.ShipGoods=1.3",
}


def on_the_wire(message: Envelope, trail: Trail = BEFORE) -> dict[str, bytes]:
    return {name: str(value).encode() for name, value in headers_of(message, trail).items()}


def read(headers: dict[str, bytes], body: bytes | None = ASKED.body) -> Envelope:
    return read_envelope("fulfillment", attributes_of(list(headers.items())), body)


def test_the_headers_stay_as_they_were_released() -> None:
    assert on_the_wire(ASKED) == GOLDEN
    assert read(GOLDEN) == ASKED


@pytest.mark.parametrize("sent", [ASKED, TOLD, replace(TOLD, key="a\r\n\N{SNOWMAN}", time=None)])
def test_what_was_written_is_read(sent: Envelope) -> None:
    assert read(on_the_wire(sent)) == sent


@pytest.mark.parametrize("sent", [ASKED, TOLD])
def test_the_cloudevents_sdk_reads_the_same_values(sent: Envelope) -> None:
    record = KafkaMessage(headers=on_the_wire(sent), key=sent.key.encode(), value=sent.body)

    event = from_kafka(record, JSONFormat())

    assert_reads_the_same(event, sent, partitionkey=sent.key, previous=str(BEFORE))


@pytest.mark.parametrize(
    "more",
    [
        {"ce_subject": b""},
        {"ce_subject": b"x" * 5_000},
        {"ce_subject": b"a\x00b"},
        {"ce_subject": b"\xff"},
        {"ce_version": b"0"},
        {"ce_version": str(2**40).encode()},
        {"ce_kind": b"timer"},
        {"ce_kind": b"event"},
        {"ce_type": b"inventory.ReserveStock"},
        {"ce_source": b"ordering"},
        {"ce_recipient": b"shipping"},
        {"ce_id": b"mine"},
        {"ce_traceparent": b"x" * 5_000},
        {"ce_position": b"0"},
        {"ce_position": str(2**63).encode()},
        {"ce_incarnation": str(2**40).encode()},
    ],
    ids=lambda more: ", ".join(f"{name}={value[:20]!r}" for name, value in more.items()),
)
def test_what_no_service_writes_is_not_read(more: dict[str, bytes]) -> None:
    with pytest.raises((KeyError, ValueError)):
        read(GOLDEN | more)


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_source", "ce_position"])
def test_a_message_that_lacks_what_ours_have_is_not_read(name: str) -> None:
    with pytest.raises(KeyError):
        read({known: value for known, value in GOLDEN.items() if known != name})


@pytest.mark.parametrize("name", ["ce_incarnation", "ce_position"])
def test_a_place_that_no_outbox_has_is_not_believed(name: str) -> None:
    attributes = attributes_of(list(GOLDEN.items()))
    assert read_place("fulfillment", attributes) == (Place(1, 7), ASKED.type)
    with pytest.raises(ValueError, match="Place"):
        read_place("fulfillment", attributes | {name: str(2**60)})


def test_a_record_without_a_body_is_not_read() -> None:
    with pytest.raises(ValueError, match="body"):
        read(GOLDEN, None)


# What went before.


def test_a_trail_names_the_last_of_each_type_the_youngest_first() -> None:
    trail = Trail()
    assert read_trail(attributes_of(list(on_the_wire(ASKED, trail).items()))) == ""
    for message in (ASKED, replace(TOLD, position=8), replace(ASKED, position=9)):
        trail.add(message)
    assert str(trail) == "payments.RetrievePayment=1.9 fulfillment.FulfillmentOverdue=1.8"


def test_a_trail_that_was_read_goes_on_as_the_one_that_was_written() -> None:
    again = Trail(str(BEFORE))
    again.add(replace(ASKED, type="shipping.ShipGoods"))
    assert str(again) == "shipping.ShipGoods=1.7 payments.RetrievePayment=1.6"


@pytest.mark.parametrize(
    ("seen", "missed"),
    [
        (Place(1, 9), None),
        (Place(1, 8), None),  # what stands behind it is of no interest
        (Place(1, 7), "a.Wanted 8"),
        (Place(1, 3), "a.Wanted 8"),
        (Place(2, 1), None),
        (Place(0, 0), "a.Wanted 8"),
    ],
)
def test_only_what_is_wanted_and_not_yet_seen_is_missed(seen: Place, missed: str | None) -> None:
    trail = "a.Other=1.9 a.Wanted=1.8 a.Third=1.2"
    assert last_missed(trail, {"a.Wanted", "a.Third"}, seen) == missed


def test_a_message_of_a_later_life_is_later_whatever_its_position() -> None:
    assert last_missed("a.Wanted=2.5", {"a.Wanted"}, Place(1, 90)) == "a.Wanted 5"


def test_the_first_on_its_topic_misses_nothing() -> None:
    assert last_missed("", {"a.Wanted"}, Place(0, 0)) is None


@pytest.mark.parametrize("trail", ["garbage", "a.B=x.1", "a.B=1", "a.B=1.5 " * 20_000])
def test_what_is_no_trail_is_not_believed(trail: str) -> None:
    for read_it in (Trail, lambda text: last_missed(text, {"a.B"}, Place(1, 1))):
        with pytest.raises(ValueError):  # noqa: PT011  # whatever it says of it
            read_it(trail)
