"""Customers from their registration on, in every style: letters, mails, points, what is personal.

Each style has a stack of its own, whose mails go to a real SMTP server in this process.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from services.customers.process import TRIES
from services.demo.promises import PROMISES, Audit, connect
from services.demo.watch import Watch
from services.notifications.post import NOBODY
from stagepost.engine.flow import Flow
from stagepost.engine.stack import Stack
from stagepost.engine.styles import STYLES, SYNCHRONOUS
from tests.journeys.customer import Customer
from tests.notifications.mail_server import MailServer, mail_server

DEADLINE = 1.5
"""Seconds that a letter has."""
NO_MAILBOX = "550 5.1.1 no such mailbox"


@dataclass(frozen=True)
class Shop:
    """A stack of one style, somebody who uses it, and the mail server."""

    style: str
    customer: Customer
    mail: MailServer

    @property
    def stack(self) -> Stack:
        return self.customer.stack


@pytest.fixture(scope="module", params=STYLES)
async def shop(request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    data = Path(tempfile.mkdtemp(prefix="stagepost tests ", dir="/tmp"))
    async with mail_server() as mail:
        env = {"STAGEPOST_MAIL_SERVER": mail.url}
        timers = {"LetterDue": DEADLINE, "AnswersDue": 2}
        async with (
            Stack(data, flow=Flow(request.param), timers=timers, env=env) as stack,
            aiohttp.ClientSession(headers=stack.headers) as http,
        ):
            customer = Customer(http, stack)
            await customer.receive("chair", 1000)
            yield Shop(request.param, customer, mail)
    shutil.rmtree(data)


async def test_a_registration_leads_to_the_letter_and_the_letter_to_its_proof(shop: Shop) -> None:
    assert await shop.customer.register("ada") == 201
    await shop.customer.until_onboarding("ada", "Onboarded")
    found = await shop.customer.until_notified("ada", {"welcome/customers/ada": "sent"})
    (letter,) = [e for e in shop.mail.taken if e.rcpt_tos == ["ada@example.org"]]
    assert isinstance(letter.content, bytes)
    assert found["welcome/customers/ada"]["sha256"] == sha256(letter.content).hexdigest()


async def test_who_is_registered_has_an_onboarding_also_where_it_cannot_begin(shop: Shop) -> None:
    os.kill(shop.stack.pid("nats"), signal.SIGSTOP)
    try:
        assert await shop.customer.register("zoe") == 201
        found = await shop.customer.see("customers", "/customers/zoe/onboarding")
    finally:
        os.kill(shop.stack.pid("nats"), signal.SIGCONT)
    assert found == {"customer_id": "zoe", "state": "New", "tries": None}
    await shop.customer.until_onboarding("zoe", "Onboarded")


async def test_the_letter_is_commanded_over_what_commands_go_over_in_this_style(
    shop: Shop,
) -> None:
    await shop.customer.register("bea")
    await shop.customer.until_onboarding("bea", "Onboarded")
    connection = await connect(shop.stack.audit_dsn)
    sent = await connection.fetch("SELECT channel FROM customers.outbox WHERE kind = 'command'")
    await connection.close()
    expected = "notifications" if shop.style == SYNCHRONOUS else "broker"
    assert {row["channel"] for row in sent} == {expected}


async def test_a_letter_that_is_always_refused_is_overdue_after_so_many_tries(shop: Shop) -> None:
    shop.mail.refused["eve@example.org"] = [NO_MAILBOX] * TRIES
    await shop.customer.register("eve")
    overdue = await shop.customer.until_onboarding("eve", "Overdue")
    assert overdue["tries"] == TRIES
    found = await shop.customer.until_notified("eve", {"welcome/customers/eve": "failed"})
    assert found["welcome/customers/eve"]["reason"] == NO_MAILBOX
    assert shop.mail.to("eve@example.org") == []


async def test_a_letter_that_is_refused_once_arrives_at_the_second_try(shop: Shop) -> None:
    shop.mail.refused["fay@example.org"] = [NO_MAILBOX]
    await shop.customer.register("fay")
    await shop.customer.until_onboarding("fay", "Onboarded")
    assert len(shop.mail.to("fay@example.org")) == 1


async def test_an_address_is_one_customer_s_however_many_want_it_at_once(shop: Shop) -> None:
    wanting = [f"gus-{number}" for number in range(10)]
    statuses = await asyncio.gather(
        *(shop.customer.register(name, email="gus@example.org") for name in wanting)
    )
    assert sorted(statuses) == [201, *[409] * 9]
    winner = wanting[statuses.index(201)]
    await shop.customer.until_onboarding(winner, "Onboarded")
    assert len(shop.mail.to("gus@example.org")) == 1


async def test_a_customer_is_changed_by_who_has_seen_them(shop: Shop) -> None:
    await shop.customer.register("hal")
    url = f"{shop.stack.url('customers')}/customers/hal"
    async with shop.customer.http.get(url) as answer:
        etag = answer.headers["ETag"]
    statuses = []
    for if_match in ({}, {"If-Match": '"9"'}, {"If-Match": etag}, {"If-Match": etag}):
        change = {"email": "hal@example.net"}
        async with shop.customer.http.patch(url, json=change, headers=if_match) as answer:
            statuses.append(answer.status)
    assert statuses == [428, 412, 200, 412]
    seen = await shop.customer.see("customers", "/customers/hal")
    assert seen["email"] == "hal@example.net"


async def test_a_confirmed_order_earns_points_and_a_mail(shop: Shop) -> None:
    await shop.customer.register("ivy")
    order_id = await shop.customer.order("chair", 2, customer_id="ivy")
    order = await shop.customer.until_ended(order_id)
    assert (order["status"], order["amount"]) == ("confirmed", 2501)
    await shop.customer.until_points("ivy", 25)
    await shop.customer.until_notified(
        "ivy", {"welcome/customers/ivy": "sent", f"order/{order_id}": "sent"}
    )
    subjects = {mail["Subject"] for mail in shop.mail.to("ivy@example.org")}
    assert subjects == {"Welcome", f"Your order {order_id} is on its way"}


async def test_a_rejected_order_earns_a_mail_and_no_points(shop: Shop) -> None:
    await shop.customer.register("joe")
    order_id = await shop.customer.order(customer_id="joe", payment_token="tok_declined")
    await shop.customer.until_ended(order_id)
    await shop.customer.until_notified(
        "joe", {"welcome/customers/joe": "sent", f"order/{order_id}": "sent"}
    )
    (mail,) = [m for m in shop.mail.to("joe@example.org") if "not be fulfilled" in m["Subject"]]
    assert "(declined by the bank)" in mail.get_content()
    await shop.customer.until_points("joe", 0)


async def test_who_registers_after_the_order_gets_its_points_and_no_mail_about_it(
    shop: Shop,
) -> None:
    order_id = await shop.customer.order("chair", 2, customer_id="kim")
    await shop.customer.until_ended(order_id)
    found = await shop.customer.until_notified("kim", {f"order/{order_id}": "failed"})
    assert found[f"order/{order_id}"]["reason"] == NOBODY
    await shop.customer.register("kim")
    await shop.customer.until_points("kim", 25)


async def test_mails_wait_for_customers_that_is_down(shop: Shop) -> None:
    await shop.customer.register("lea")
    await shop.customer.until_onboarding("lea", "Onboarded")
    pid = shop.stack.pid("customers")
    os.kill(pid, signal.SIGSTOP)
    try:
        order_id = await shop.customer.order(customer_id="lea")
        await shop.customer.until_ended(order_id)
        await shop.customer.until_notified(
            "lea", {"welcome/customers/lea": "sent", f"order/{order_id}": "requested"}
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    await shop.customer.until_notified(
        "lea", {"welcome/customers/lea": "sent", f"order/{order_id}": "sent"}
    )


async def test_in_the_end_every_promise_holds_and_nothing_personal_was_said(shop: Shop) -> None:
    connection = await connect(shop.stack.audit_dsn)
    audit = Audit(connection, shop.stack.flow, shop.customer.accepted)
    await Watch(audit, print, asyncio.Semaphore()).until_settled()
    found = {promise: await audit.check(promise) for promise in PROMISES}
    said = []
    for service in shop.stack.services:
        assert await connection.fetchval(f"SELECT count(*) FROM {service}.dead_letters") == 0
        bodies = await connection.fetch(
            f"SELECT convert_from(body, 'UTF8') AS body FROM {service}.outbox"
        )
        said += [row["body"] for row in bodies]
        said.append((shop.stack.data / "logs" / f"{service}.log").read_text())
    await connection.close()
    assert {name: finding for name, finding in found.items() if not finding.holds} == {}
    assert not [text for text in said if "@example" in text or "Lovelace" in text]
