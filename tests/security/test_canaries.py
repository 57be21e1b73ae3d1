"""Secrets and personal data are planted, much goes wrong, and they are found where nobody may see.

Names and addresses stand in the customers' own events, and in mails; what is shipped where is told
to the carrier. Nowhere else: no log has them, no other message, no answer to who may not know.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from stagepost.engine.roles import Role
from stagepost.engine.stack import Stack
from stagepost.engine.stack.keys import issuer_of
from stagepost.engine.transports.http_envelope import write_binary
from tests.security.site import Site, charge_for, order_of

NAME, EMAIL = "Kanarienvogel Zwitscher", "zwitscher.kanarienvogel@example.org"
CARD, ADDRESS = "tok_kanarienkarte", "1 Kanarienweg, Harz"
PERSONAL = ("kanarienvogel", "zwitscher")
PRIVATE = (*PERSONAL, "kanarienkarte", "kanarienweg")
TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}")


@dataclass
class Trouble:
    """A stack in which much went wrong; `answers` is what was said to whoever may not know."""

    stack: Stack
    site: Site
    answers: list[str] = field(default_factory=list)

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(self.stack.passwords._known.values())

    def logs(self) -> Iterator[tuple[str, str]]:
        for file in sorted((self.stack.data / "logs").iterdir()):
            yield file.name, file.read_text(errors="replace")


def found(texts: Iterable[tuple[str, str]], canaries: Iterable[str]) -> list[str]:
    """Return where which canary stands."""
    words = [word.lower() for word in canaries]
    return [
        f"{where}: {word}"
        for where, text in texts
        for word in words
        if word in text.lower()
    ]  # fmt: skip


@pytest.fixture(scope="module")
async def trouble() -> AsyncIterator[Trouble]:
    data = Path(tempfile.mkdtemp(prefix="stagepost tests ", dir="/tmp"))
    env = {"STAGEPOST_LOG_LEVEL": "DEBUG"}
    timers = {"AnswersDue": 2, "GoodsDue": 2, "LetterDue": 2}
    async with Stack(data, timers=timers, env=env, say=lambda _: None) as stack:
        site = Site({name: stack.url(name) for name in stack.services}, issuer_of(stack.passwords))
        trouble = Trouble(stack, site)
        await make(trouble)
        yield trouble
    shutil.rmtree(data)


async def make(trouble: Trouble) -> None:
    """Let everything happen that could tell what nobody may know."""
    await _live(trouble)
    await _ask_wrongly(trouble)
    await _damage(trouble)
    await _go_down(trouble)


async def _live(trouble: Trouble) -> None:
    """Register, order, change, cancel: as customers do."""
    async with (
        trouble.site.asked_by(Role.CUSTOMER, "c1", "customers") as customers,
        trouble.site.asked_by(Role.CUSTOMER, "c1") as ordering,
    ):
        registered = await customers.post("/customers", json={"name": NAME, "email": EMAIL})
        assert registered.status_code == 201, registered.text
        for number, more in enumerate([{}, {"ship_to": f"REFUSED {ADDRESS}"}]):
            order = order_of("c1", f"canary-{number}") | {"ship_to": ADDRESS} | more
            assert (await ordering.post("/orders", json=order)).status_code == 202
        changed = await customers.patch(
            "/customers/c1", json={"name": f"{NAME} II"}, headers={"If-Match": '"1"'}
        )
        assert changed.status_code == 200, changed.text
        async with asyncio.timeout(30):
            path = "/customers/c1/onboarding"
            while (await customers.get(path)).json()["state"] != "Onboarded":
                await asyncio.sleep(0.1)


async def _ask_wrongly(trouble: Trouble) -> None:
    """Send personal data and secrets where they do not fit; keep what is answered."""
    token = trouble.site.issuer.token(Role.CUSTOMER, "c2", days=1)
    who: dict[str, Any] = {"name": NAME, "email": EMAIL}
    order = order_of("c2", "canary-wrong") | {"ship_to": ADDRESS, "payment_token": CARD}
    bodies: list[tuple[str, str, object]] = [
        ("customers", "/customers", who),
        ("customers", "/customers", who | {"email": NAME}),
        ("customers", "/customers", who | {"name": f"{NAME}\x00"}),
        ("customers", "/customers", who | {"email": [EMAIL]}),
        ("customers", "/customers", [who]),
        ("customers", "/customers", f"{NAME} {EMAIL}"),
        ("ordering", "/orders", order | {"ship_to": [ADDRESS]}),
        ("ordering", "/orders", order | {"ship_to": f"{ADDRESS}\x00"}),
        ("ordering", "/orders", order | {"payment_token": {"card": CARD}}),
        ("ordering", "/orders", order | {"lines": ADDRESS}),
        ("ordering", "/orders", order | {"customer_id": "c1"}),
    ]
    for service, path, body in bodies:
        async with trouble.site.asked_by(Role.CUSTOMER, "c2", service) as client:
            await _note(trouble, client.post(path, json=body))
            await _note(trouble, client.post(path, content=str(body).encode()[:-1]))
            await _note(trouble, client.get("/customers/c1"))
    misfit = charge_for("canary-misfit", payment_token=[CARD], order_id=[ADDRESS])
    async with trouble.site.asked_by(Role.SERVICE, "fulfillment", "payments") as client:
        headers = write_binary(misfit)
        await _note(trouble, client.post("/commands", content=misfit.body, headers=headers))
    for header in (f"Bearer {token[:-2]}xx", f"Bearer {token} {CARD}", f"Basic {token}"):
        async with trouble.site.asked_with({"Authorization": header}) as client:
            await _note(trouble, client.get("/orders"))


async def _damage(trouble: Trouble) -> None:
    """Have customers read an event of its own in which somebody's name is damaged."""
    owner = await asyncpg.connect(trouble.stack.databases.owner_dsn("customers"))
    try:
        damaged = await owner.execute(
            """UPDATE stored_events SET state = convert_to(regexp_replace(
                 convert_from(state, 'UTF8'), '"name": ?("[^"]*")', '"name": [\\1]'), 'UTF8')
               WHERE convert_from(state, 'UTF8') LIKE '%Zwitscher%'"""
        )
        assert damaged != "UPDATE 0"
        await owner.execute("DELETE FROM snapshots")
    finally:
        await owner.close()
    os.kill(trouble.stack.pid("customers"), signal.SIGTERM)  # it has them in its cache
    async with trouble.site.asked_by(Role.CUSTOMER, "c1", "customers") as client:
        async with asyncio.timeout(30):
            while (answer := await client.get("/customers/c1")).status_code != 500:
                await asyncio.sleep(0.1)
        trouble.answers.append(answer.text)
        await _note(trouble, client.patch("/customers/c1", json={"name": NAME}))


async def _go_down(trouble: Trouble) -> None:
    """Kill both servers under requests."""
    for server in ("nats", "postgres"):
        trouble.stack.kill(server)
        for _ in range(10):
            async with trouble.site.asked_by(Role.CUSTOMER, "c3", "customers") as client:
                body = {"name": f"{NAME} III", "email": f"third.{EMAIL}"}
                await _note(trouble, client.post("/customers", json=body))
            async with trouble.site.asked_by(Role.CUSTOMER, "c3") as client:
                order = order_of("c3", "canary-down") | {"ship_to": ADDRESS}
                await _note(trouble, client.post("/orders", json=order))
            await asyncio.sleep(0.1)
    async with asyncio.timeout(60):
        while not await _answers(trouble.stack.audit_dsn):
            await asyncio.sleep(0.1)
    await asyncio.sleep(3)


async def _answers(dsn: str) -> bool:
    try:
        await (await asyncpg.connect(dsn)).close()
    except (OSError, asyncpg.PostgresError):
        return False
    return True


async def _note(trouble: Trouble, asked: Any) -> None:
    answer: httpx.Response = await asked
    if not answer.is_success:
        trouble.answers.append(f"{answer.headers}\n{answer.text}")


def test_much_went_wrong(trouble: Trouble) -> None:
    text = "\n".join(text for _, text in trouble.logs())
    assert text.count('"level": "error"') + text.count('"level": "warning"') > 5
    assert len(trouble.answers) > 30


def test_no_log_has_personal_data(trouble: Trouble) -> None:
    assert found(trouble.logs(), PRIVATE) == []


def test_no_log_has_a_secret(trouble: Trouble) -> None:
    assert found(trouble.logs(), trouble.secrets) == []
    assert [name for name, text in trouble.logs() if TOKEN.search(text)] == []


def test_no_answer_to_somebody_else_has_personal_data_or_a_secret(trouble: Trouble) -> None:
    texts = [(f"answer {number}", text) for number, text in enumerate(trouble.answers)]
    assert found(texts, (*PRIVATE, *trouble.secrets)) == []
    assert [where for where, text in texts if TOKEN.search(text)] == []


async def test_no_message_has_a_name_an_address_or_a_secret(trouble: Trouble) -> None:
    texts = [text async for text in _messages(trouble.stack)]
    assert any("canary-0" in text for _, text in texts)
    assert found(texts, (*PERSONAL, *trouble.secrets)) == []


async def test_only_customers_store_who_somebody_is(trouble: Trouble) -> None:
    texts = [text async for text in _stored(trouble.stack)]
    assert {where for where, _ in texts} > {"customers", "ordering", "notifications"}
    assert {each.partition(":")[0] for each in found(texts, PERSONAL)} == {"customers"}
    assert found(texts, trouble.secrets) == []


def test_no_file_of_the_broker_has_personal_data(trouble: Trouble) -> None:
    files = [path for path in (trouble.stack.data / "nats").rglob("*") if path.is_file()]
    texts = [(str(file), file.read_bytes().decode(errors="replace")) for file in files]
    assert texts
    assert found(texts, PERSONAL) == []


@pytest.mark.parametrize("canary", [NAME, EMAIL, "a-password"])
def test_what_is_planted_is_found(canary: str) -> None:
    line = f'{{"event": "a fault", "error": "no such customer: {canary.upper()}"}}'
    assert found([("a log", line)], (*PRIVATE, "a-password"))


async def _messages(stack: Stack) -> AsyncIterator[tuple[str, str]]:
    for name in stack.services:
        for table in ("outbox", "inbox", "dead_letters", "timers", "calls"):
            async for row in _rows(stack.databases.audit_dsn(name), table):
                yield f"{table} of {name}", row


async def _stored(stack: Stack) -> AsyncIterator[tuple[str, str]]:
    for name in stack.services:
        async for row in _rows(stack.databases.audit_dsn(name), "stored_events"):
            yield name, row


async def _rows(dsn: str, table: str) -> AsyncIterator[str]:
    connection = await asyncpg.connect(dsn)
    try:
        for row in await connection.fetch(f"SELECT * FROM {table}"):
            yield " ".join(_text(row))
    finally:
        await connection.close()


def _text(row: Mapping[str, Any]) -> Iterator[str]:
    for value in row.values():
        yield value.decode(errors="replace") if isinstance(value, bytes) else str(value)
