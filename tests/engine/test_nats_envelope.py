"""What comes over the wire is one of our messages, or it is left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import nats
import pytest

from stagepost.engine.envelope import Envelope
from stagepost.engine.transports.cloudevents import MAX_INCARNATION, MAX_POSITION
from stagepost.engine.transports.nats import NatsTransport
from stagepost.engine.transports.nats_envelope import headers_of, read_envelope, subject_of
from tests.engine.nats_server import NatsServer
from tests.engine.transports import READER, SOURCE, message, subscribe, take

ASKED = Envelope(
    id=uuid4(),
    type="payments.RetrievePayment",
    version=1,
    kind="command",
    source="fulfillment",
    key="10248",
    correlation=uuid4(),
    causation=uuid4(),
    body=b"{}",
    recipient="payments",
    incarnation=1,
    position=7,
)


@pytest.mark.parametrize(
    "sent", [ASKED, message(3), replace(ASKED, key='50 % "Straße"\n', traceparent="a b")]
)
def test_what_was_written_is_read(sent: Envelope) -> None:
    headers = headers_of(sent)
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert read_envelope(subject_of(sent), headers, sent.body) == sent


def test_these_are_the_bytes_on_the_wire() -> None:
    asked = replace(
        ASKED,
        id=UUID("0197a3c2-8f50-7c11-9d5e-0d3a7b1f4a61"),
        correlation=UUID("0197a3c2-8f50-7c11-9d5e-0d3a7b1f4a62"),
        causation=UUID("0197a3c2-8f50-7c11-9d5e-0d3a7b1f4a63"),
        time=datetime(2026, 11, 22, 21, 40, 10, 5000, tzinfo=UTC),
    )
    assert subject_of(asked) == "fulfillment.command.payments.RetrievePayment"
    assert headers_of(asked) == {
        "Nats-Msg-Id": "fulfillment:1:7",
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "0197a3c2-8f50-7c11-9d5e-0d3a7b1f4a61",
        "ce-type": "payments.RetrievePayment",
        "ce-source": "fulfillment",
        "ce-subject": "10248",
        "ce-version": "1",
        "ce-kind": "command",
        "ce-correlationid": "0197a3c2-8f50-7c11-9d5e-0d3a7b1f4a62",
        "ce-causationid": "0197a3c2-8f50-7c11-9d5e-0d3a7b1f4a63",
        "ce-time": "2026-11-22T21:40:10.005000+00:00",
    }


@pytest.mark.parametrize(
    "more",
    [
        {"ce-subject": ""},
        {"ce-subject": "x" * 5_000},
        {"ce-subject": "a\x00b"},
        {"ce-version": "0"},
        {"ce-version": str(2**40)},
        {"ce-kind": "timer"},
        {"ce-kind": "event"},
        {"ce-type": "inventory.ReserveStock"},
        {"ce-type": "shipping.RetrievePayment"},
        {"ce-id": "mine"},
        {"ce-traceparent": "x" * 5_000},
        {"Nats-Msg-Id": "fulfillment:1:0"},
        {"Nats-Msg-Id": f"fulfillment:1:{2**63 - 2}"},
        {"Nats-Msg-Id": f"fulfillment:{2**40}:1"},
        {"Nats-Msg-Id": "ordering:1:7"},
        {"Nats-Msg-Id": "fulfillment"},
    ],
    ids=lambda more: ", ".join(f"{name}={value[:20]!r}" for name, value in more.items()),
)
def test_what_no_service_writes_is_not_read(more: dict[str, str]) -> None:
    with pytest.raises((KeyError, ValueError, IndexError)):
        read_envelope(subject_of(ASKED), headers_of(ASKED) | more, b"{}")


async def test_garbage_behind_our_last_message_stops_neither_writer_nor_reader(
    nats_server: NatsServer,
) -> None:
    await nats_server.provision()
    writer = NatsTransport(nats_server.url(SOURCE), SOURCE)
    reader = NatsTransport(nats_server.url(READER), READER)
    publisher = await writer.publisher(SOURCE)
    await publisher.tail()
    await publisher.publish([first := message(1)])
    subject = subject_of(first)
    somebody = await nats.connect(nats_server.url(SOURCE), inbox_prefix=b"_INBOX_payments")
    far = {"ce-id": str(uuid4())}
    for headers in (
        None,
        {"Nats-Msg-Id": "payments:1:9"},
        {"ce-id": "\u2603"},
        far | {"Nats-Msg-Id": f"payments:1:{2**63 - 2}"},
        far | {"Nats-Msg-Id": f"payments:{2**70}:{2**70}"},
        far | {"Nats-Msg-Id": f"payments:1:{MAX_POSITION}"},
        far | {"Nats-Msg-Id": f"payments:{MAX_INCARNATION}:9"},
    ):
        answer = await somebody.request(subject, b"\xff{", headers=headers)
        assert "error" not in json.loads(answer.data)
    await somebody.close()

    tail = await publisher.tail()
    assert tail is not None
    assert (tail.position, tail.id) == (1, first.id)
    await publisher.publish([message(2)])

    subscription, woken = await subscribe(reader)
    taken = await take(subscription, woken, 2)
    assert [received.message.position for received in taken] == [1, 2]
    await subscription.close()
    await reader.close()
    await writer.close()
