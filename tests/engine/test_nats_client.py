"""The client's frames are those that nats-py itself writes and reads."""

from __future__ import annotations

import pytest
from nats.aio.client import Client
from nats.errors import Error

from stagepost.engine.transports.nats_client import BlockClient
from tests.engine.nats_server import NatsServer

HEADERS = {"ce-id": "018f", "ce-subject": "10248", "ce-source": "päyments"}
PLAIN = b"ce-id: 018f\r\nce-subject: 10248\r\nempty:\r\nodd:  spaced \r\nno line\r\n\r\n"


async def test_a_block_is_what_the_library_would_have_sent_message_by_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    messages = [("a.event.X", HEADERS, b"{}"), ("a.event.Y", HEADERS, b"")]
    theirs = await _sent(Client, monkeypatch)
    for subject, headers, body in messages:
        await theirs._send_publish(subject, "", body, len(body), dict(headers))
    ours = await _sent(BlockClient, monkeypatch)
    assert isinstance(ours, BlockClient)
    await ours.publish_block(messages)

    assert _normal(b"".join(ours._pending)) == _normal(b"".join(theirs._pending))


async def test_a_line_break_in_a_value_makes_no_header_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = await _sent(BlockClient, monkeypatch)
    assert isinstance(client, BlockClient)
    await client.publish_block([("a.event.X", {"ce-subject": "10248\r\nce-source: forged"}, b"{}")])
    assert b"\r\nce-source" not in b"".join(client._pending)


def test_headers_are_read_as_the_library_reads_them() -> None:
    assert BlockClient._parse_header_lines(PLAIN) == Client._parse_header_lines(PLAIN)


def test_what_is_overridden_is_what_the_library_calls() -> None:
    for name in (
        *("_parse_header_lines", "_process_headers", "_build_message", "_send_command"),
        *("_process_info", "_connect_to_server", "_close"),
    ):
        assert hasattr(Client, name)


async def test_a_server_that_does_not_encrypt_gets_no_password_where_the_url_says_tls(
    nats_server: NatsServer,
) -> None:
    url = nats_server.url("payments")
    refusing, trusting = BlockClient(), BlockClient()
    with pytest.raises(Error, match="the server does not encrypt"):
        await refusing.connect(url.replace("nats://", "tls://"), allow_reconnect=False)
    await refusing.close()
    await trusting.connect(url)
    await trusting.close()


async def _sent(cls: type[Client], monkeypatch: pytest.MonkeyPatch) -> Client:
    client = cls()
    client._max_pending_size = 0
    monkeypatch.setattr(client, "_flush_queue", None)
    return client


def _normal(frames: bytes) -> bytes:
    return frames.replace(b"  ", b" ")
