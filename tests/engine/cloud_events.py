"""A message that has everything that one can have, and how the CloudEvents SDK must read it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

from cloudevents.core.base import BaseCloudEvent

from stagepost.engine.envelope import Envelope

ASKED = Envelope(
    id=UUID("0198c3a0-7d2e-7000-8000-0123456789ab"),
    type="payments.RetrievePayment",
    version=2,
    kind="command",
    source="fulfillment",
    key='10 % à la "Straße"',
    correlation=UUID("0198c3a0-7d2e-7000-8000-000000000001"),
    causation=UUID("0198c3a0-7d2e-7000-8000-000000000002"),
    body=b'{"order_id":"10248","amount":12345678901234567890123,"rate":1.50}',
    recipient="payments",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    incarnation=1,
    position=7,
    time=datetime(2026, 10, 1, 12, 30, 0, 250000, tzinfo=UTC),
)


def assert_reads_the_same(event: BaseCloudEvent, message: Envelope, **more: str) -> None:
    """Compare with what the CloudEvents SDK has read: a judge that never saw this platform."""
    assert event.get_specversion() == "1.0"
    assert event.get_datacontenttype() == "application/json"
    assert event.get_id() == str(message.id)
    assert (event.get_type(), event.get_source()) == (message.type, message.source)
    assert (event.get_subject(), event.get_time()) == (message.key, message.time)
    assert event.get_data() == json.loads(message.body)
    extensions: dict[str, object] = {
        "version": str(message.version),
        "kind": message.kind,
        "correlationid": str(message.correlation),
        "incarnation": str(message.incarnation),
        "position": str(message.position),
        "causationid": message.causation and str(message.causation),
        "traceparent": message.traceparent,
        "recipient": message.recipient,
        **more,
    }
    assert {name: event.get_extension(name) for name in extensions} == extensions
