"""From the registration to the letter: customers, notifications and a real mail server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.customers.process import TRIES, LetterDue
from services.notifications.carriers import MailServer
from services.notifications.post import PostOffice
from stagepost.engine.transports.memory import MemoryBroker
from tests.conftest import Database, NewDatabase
from tests.customers.shop import Running, running
from tests.notifications import mail_server

DELAYS = {LetterDue.__name__: 1.0}


@dataclass
class Shop:
    """Both services, the mail server, and their databases."""

    customers: Running
    notifications: Running
    mail: mail_server.MailServer
    databases: tuple[Database, ...]

    async def until_onboarding(self, state: str) -> None:
        await self.customers.until("/customers/ada/onboarding", state=state)

    async def until_noted(self, status: str) -> dict[str, str]:
        """Wait until the list has Ada's only notification with this status; return it."""
        async with asyncio.timeout(10):
            while True:
                found = (await self.notifications.see("/notifications?customer_id=ada"))["items"]
                if [row["status"] for row in found] == [status]:
                    row: dict[str, str] = found[0]
                    return row


@pytest.fixture
async def shop(new_database: NewDatabase) -> AsyncIterator[Shop]:
    names = "customers", "notifications"
    databases = [await new_database(name) for name in names]
    broker = MemoryBroker()
    async with AsyncExitStack() as exits:
        mail = await exits.enter_async_context(mail_server.mail_server())
        customers = await exits.enter_async_context(
            running("customers", databases[0].service, broker, delays=DELAYS)
        )
        url = await exits.enter_async_context(in_front_of(customers))
        office = PostOffice(MailServer(mail.url, 5), url, "shop@stagepost.example", 5, {})
        exits.push_async_callback(office.close)
        notifications = await exits.enter_async_context(
            running("notifications", databases[1].service, broker, calls=office)
        )
        yield Shop(customers, notifications, mail, tuple(databases))


class in_front_of:  # noqa: N801  # a context, named as it is used
    """HTTP over TCP, for who asks over the network."""

    def __init__(self, service: Running) -> None:
        self._service = service

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._pass_on)
        self._server = TestServer(app)
        await self._server.start_server()
        return str(self._server.make_url("")).rstrip("/")

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def _pass_on(self, request: web.Request) -> web.Response:
        answer = await self._service.client.get(request.path)
        return web.Response(status=answer.status_code, body=answer.content)


async def test_a_registration_leads_to_the_letter_and_its_proof(shop: Shop) -> None:
    await shop.customers.register()
    await shop.until_onboarding("Onboarded")
    (letter,) = shop.mail.taken
    assert letter.rcpt_tos == ["ada@example.org"]
    assert isinstance(letter.content, bytes)
    row = await shop.until_noted("sent")
    assert row["said"] == "2.0.0 Ok: queued"
    assert row["sha256"] == sha256(letter.content).hexdigest()
    assert await shop.customers.see("/customers/ada/onboarding") == {
        "customer_id": "ada",
        "state": "Onboarded",
        "tries": None,
    }


async def test_a_letter_that_is_refused_is_tried_again_until_somebody_is_told(shop: Shop) -> None:
    shop.mail.refuses = "550 5.1.1 <ada@example.org>: no such mailbox"
    await shop.customers.register()
    await shop.until_onboarding("Overdue")
    row = await shop.until_noted("failed")
    assert row["reason"] == "550 5.1.1 (address) no such mailbox"
    told = await types_told_by(shop.databases[0])
    assert told.count("notifications.SendWelcomeLetter") == TRIES
    assert told[-1] == "customers.OnboardingOverdue"


async def test_a_letter_that_is_refused_once_arrives_at_the_second_try(shop: Shop) -> None:
    shop.mail.refused["ada@example.org"] = ["550 no such mailbox"]
    await shop.customers.register()
    await shop.until_onboarding("Onboarded")
    assert len(shop.mail.taken) == 1


async def test_nothing_personal_stands_in_any_message(shop: Shop) -> None:
    shop.mail.refuses = "550 5.1.1 <ada@example.org>: who is Ada Lovelace?"
    await shop.customers.register()
    await shop.until_noted("failed")
    for database in shop.databases:
        connection = await asyncpg.connect(database.owner)
        rows = await connection.fetch(
            "SELECT convert_from(body, 'UTF8') AS text FROM outbox UNION ALL"
            " SELECT to_jsonb(inbox)::text FROM inbox UNION ALL"
            " SELECT convert_from(response, 'UTF8') FROM idempotency"
        )
        await connection.close()
        assert rows
        personal = [row["text"] for row in rows if "@" in row["text"] or "Lovelace" in row["text"]]
        assert personal == []


async def types_told_by(database: Database) -> list[str]:
    connection = await asyncpg.connect(database.owner)
    try:
        rows = await connection.fetch("SELECT type FROM outbox ORDER BY position")
    finally:
        await connection.close()
    return [row["type"] for row in rows]
