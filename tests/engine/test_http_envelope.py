"""What comes over HTTP is one of our messages, or it is told and left alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from multidict import CIMultiDict
from structlog.testing import capture_logs

from stagepost.engine.envelope import Envelope
from stagepost.engine.transports.http_envelope import (
    read_batch,
    read_binary,
    write_batch,
    write_binary,
)
from tests.engine.cloud_events import ASKED, assert_reads_the_same

TOLD = replace(
    ASKED,
    type="payments.PaymentReceived",
    version=1,
    kind="event",
    source="payments",
    causation=None,
    recipient=None,
    traceparent=None,
    time=None,
    position=8,
)

GOLDEN_BINARY = {
    "content-type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": "0198c3a0-7d2e-7000-8000-0123456789ab",
    "ce-type": "payments.RetrievePayment",
    "ce-source": "fulfillment",
    "ce-subject": "10%20%25%20%C3%A0%20la%20%22Stra%C3%9Fe%22",
    "ce-version": "2",
    "ce-kind": "command",
    "ce-correlationid": "0198c3a0-7d2e-7000-8000-000000000001",
    "ce-causationid": "0198c3a0-7d2e-7000-8000-000000000002",
    "ce-time": "2026-10-01T12:30:00.250000+00:00",
    "ce-traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "ce-incarnation": "1",
    "ce-position": "7",
    "ce-recipient": "payments",
}

GOLDEN_BATCH = (
    b'[{"specversion":"1.0","id":"0198c3a0-7d2e-7000-8000-0123456789ab"'
    b',"type":"payments.RetrievePayment","source":"fulfillment"'
    b',"subject":"10 % \xc3\xa0 la \\"Stra\xc3\x9fe\\"","version":"2","kind":"command"'
    b',"correlationid":"0198c3a0-7d2e-7000-8000-000000000001"'
    b',"causationid":"0198c3a0-7d2e-7000-8000-000000000002"'
    b',"time":"2026-10-01T12:30:00.250000+00:00"'
    b',"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"'
    b',"incarnation":"1","position":"7","recipient":"payments","datacontenttype":"application/json"'
    b',"data":{"order_id":"10248","amount":12345678901234567890123,"rate":1.50}}'
    b',{"specversion":"1.0","id":"0198c3a0-7d2e-7000-8000-0123456789ab"'
    b',"type":"payments.PaymentReceived","source":"payments"'
    b',"subject":"10 % \xc3\xa0 la \\"Stra\xc3\x9fe\\"","version":"1","kind":"event"'
    b',"correlationid":"0198c3a0-7d2e-7000-8000-000000000001"'
    b',"incarnation":"1","position":"8","datacontenttype":"application/json"'
    b',"data":{"order_id":"10248","amount":12345678901234567890123,"rate":1.50}}]'
)


def test_binary_mode_stays_as_it_was_released() -> None:
    assert write_binary(ASKED) == GOLDEN_BINARY
    assert read_binary(GOLDEN_BINARY, ASKED.body) == ASKED


def test_a_batch_stays_as_it_was_released() -> None:
    assert write_batch([ASKED, TOLD]) == GOLDEN_BATCH
    assert read_batch(GOLDEN_BATCH) == [ASKED, TOLD]


def test_headers_are_printable_ascii_whatever_the_key_is() -> None:
    headers = write_binary(replace(ASKED, key="a\r\nce-kind: event\x7f☃", traceparent="a b"))
    assert all(value.isascii() and value.isprintable() for value in headers.values())


@pytest.mark.parametrize(
    "headers",
    [
        CIMultiDict({name.title(): value for name, value in GOLDEN_BINARY.items()}),
        {**GOLDEN_BINARY, "content-type": "Application/JSON; charset=utf-8"},
        {**GOLDEN_BINARY, "host": "127.0.0.1", "ce-color": "red"},
    ],
    ids=["of another case", "with a charset", "with more of them"],
)
def test_headers_are_read_as_clients_and_servers_give_them(headers: Mapping[str, str]) -> None:
    assert read_binary(headers, ASKED.body) == ASKED


@pytest.mark.parametrize(
    "more",
    [
        {"content-type": "application/cloudevents+json"},
        {"ce-specversion": "0.3"},
        {"ce-subject": ""},
        {"ce-subject": "a%00b"},
        {"ce-subject": "%ff"},
        {"ce-version": "0"},
        {"ce-kind": "event"},
        {"ce-kind": "timer"},
        {"ce-id": "mine"},
        {"ce-position": "0"},
        {"ce-position": str(2**63)},
        {"ce-incarnation": "first"},
        {"ce-time": "yesterday"},
        {"ce-recipient": "x" * 5_000},
    ],
    ids=lambda more: ", ".join(f"{name}={value[:20]!r}" for name, value in more.items()),
)
def test_headers_that_no_service_writes_are_not_read(more: dict[str, str]) -> None:
    with pytest.raises((KeyError, ValueError)):
        read_binary({**GOLDEN_BINARY, **more}, b"{}")


_OPTIONAL = {"ce-causationid", "ce-time", "ce-traceparent"}


@pytest.mark.parametrize("name", sorted(GOLDEN_BINARY.keys() - _OPTIONAL))
def test_no_header_may_be_missing(name: str) -> None:
    with pytest.raises((KeyError, ValueError)):
        read_binary({n: v for n, v in GOLDEN_BINARY.items() if n != name}, b"{}")


def test_an_empty_batch_is_one() -> None:
    assert write_batch([]) == b"[]"
    assert read_batch(b"[]") == []


@pytest.mark.parametrize(
    "broken",
    [
        7,
        {},
        {"specversion": "0.3"},
        {"position": 9},
        {"kind": "command"},
        {"id": "mine"},
        {"datacontenttype": "text/plain"},
        {"data": ...},
        {"subject": "a\x00b"},
    ],
    ids=str,
)
def test_around_a_broken_event_all_others_are_read_and_it_is_told(broken: Any) -> None:
    one, two, three = (replace(TOLD, position=n) for n in (1, 2, 3))
    events = json.loads(write_batch([one, two, three]))
    if isinstance(broken, dict):
        merged = {**events[1], **broken} if broken else {}
        broken = {name: value for name, value in merged.items() if value is not ...}
    events[1] = broken

    with capture_logs() as logs:
        read = read_batch(json.dumps(events).encode())

    assert [message.position for message in read] == [1, 3]
    (told,) = logs
    assert (told["event"], told["log_level"], told["number"], told["of"]) == (
        "not one of our messages",
        "warning",
        2,
        3,
    )


@pytest.mark.parametrize(
    "batch",
    [b"", b"{}", b"null", GOLDEN_BATCH[:-1], GOLDEN_BATCH[:300], GOLDEN_BATCH + b"]", b"\xff"],
    ids=["empty", "an object", "null", "without its end", "cut", "with more", "no text"],
)
def test_what_is_no_batch_is_not_read_at_all(batch: bytes) -> None:
    with pytest.raises(ValueError, match="not a batch of events"):
        read_batch(batch)


# The CloudEvents SDK for Python, as a judge who has never seen this platform.

SENT = [ASKED, replace(TOLD, time=ASKED.time)]  # where no time is told, the SDK gives its own


@pytest.mark.parametrize("message", SENT, ids=["a command", "an event"])
def test_the_sdk_reads_binary_mode_to_the_same_values(message: Envelope) -> None:
    sent = HTTPMessage(write_binary(message), message.body)
    assert_reads_the_same(from_binary(sent, JSONFormat()), message)


def test_the_sdk_reads_each_event_of_a_batch_to_the_same_values() -> None:
    batch = json.loads(write_batch(SENT))  # the SDK has no batches, only what is in them
    for event, message in zip(batch, SENT, strict=True):
        assert_reads_the_same(JSONFormat().read(None, json.dumps(event).encode()), message)
