"""Promises that are proven by trying to break them: walls between services, and bad input."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import asyncpg
import nats

from services.demo.promises import Audit, Finding, finding
from stagepost.engine.transport_names import NATS

WALLS = "9 no service reaches into another"
BAD_INPUT = "10 bad input changes nothing"

BROKER_SECONDS = 2.0
"""How long the broker gets to say no."""

REFUSED = (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidAuthorizationSpecificationError)


class Doors(Protocol):
    """How each service gets in where it may."""

    def dsn(self, name: str) -> str:
        """Return how a service connects to its own database."""
        ...

    def uses(self, transport: str) -> bool:
        """Tell whether anything goes over this transport."""
        ...

    def nats_url(self, user: str) -> str:
        """Return how a service connects to the broker."""
        ...


async def check_walls(
    doors: Doors, services: Collection[str], databases: Collection[str]
) -> Finding:
    """As each service: open every other's database, and publish under every other's name.

    Who may publish what is for the broker to say: NATS, where it is used; the mock of Kafka knows
    no rights.
    """
    faults: list[str] = []
    figures = {"databases_refused": 0, "publications_refused": 0}
    for service in services:
        for database in databases:
            if database != service:
                if await _opens(doors.dsn(service), database):
                    faults.append(f"{service} can open the database {database}")
                else:
                    figures["databases_refused"] += 1
        if not doors.uses(NATS):
            continue
        others = [name for name in services if name != service]
        refused = await _refused(doors.nats_url(service), others)
        faults += [f"{service} can publish as {name}" for name in others if name not in refused]
        figures["publications_refused"] += len(refused)
    return finding(faults, figures)


async def _opens(dsn: str, database: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, database=database)
    except REFUSED:
        return False
    await connection.close()
    return True


async def _refused(url: str, names: Collection[str]) -> set[str]:
    """Publish as each of these; return those for whom the broker said no, as it does at once."""
    refused: set[str] = set()
    all_refused = asyncio.Event()

    async def note(error: Exception) -> None:
        refused.update(name for name in names if f'"{_subject(name)}"' in str(error))
        if len(refused) == len(names):
            all_refused.set()

    client = await nats.connect(url, error_cb=note)
    for name in names:
        await client.publish(_subject(name), b"{}")
    with suppress(TimeoutError):
        await asyncio.wait_for(all_refused.wait(), BROKER_SECONDS)
    await client.close()
    return refused


def _subject(name: str) -> str:
    return f"{name}.event.forged"


@dataclass(frozen=True, slots=True)
class Sample:
    """A request that no service should carry out."""

    fault: str
    service: str
    method: str
    path: str
    body: Any = None


ORDER: Mapping[str, Any] = {
    "order_id": "bad-input",
    "customer_id": "c1",
    "lines": [{"sku": "red-chair", "quantity": 1, "unit_price": "1299"}],
    "currency": "EUR",
    "payment_token": "tok_ok",
    "ship_to": "1 Station Road, Reims",
}


def _order(fault: str, **changes: Any) -> Sample:
    return Sample(fault, "ordering", "POST", "/orders", {**ORDER, **changes})


def _line(fault: str, **changes: Any) -> Sample:
    return _order(fault, lines=[{**ORDER["lines"][0], **changes}])


def _customer(fault: str, **changes: Any) -> Sample:
    ada = {"customer_id": "bad-input", "name": "Ada", "email": "ada@example.org"}
    return Sample(fault, "customers", "POST", "/customers", {**ada, **changes})


_NOBODY = "/notifications?customer_id=../ada"

SAMPLES = (
    Sample("no JSON", "ordering", "POST", "/orders", b"{"),
    Sample("a list for an object", "ordering", "POST", "/orders", []),
    Sample("more than 1 MiB", "ordering", "POST", "/orders", b" " * (2**20 + 1)),
    _order("an unknown field", discount=10),
    _order("no lines", lines=[]),
    _order("too many lines", lines=[*ORDER["lines"]] * 101),
    _order("a NUL in the address", ship_to="here\x00there"),
    _order("a currency that is none", currency="euro"),
    _order("an id that cannot stand in a URL", order_id="../orders"),
    _line("a negative quantity", quantity=-1),
    _line("an absurd quantity", quantity=10**9),
    _line("a quantity beyond 64 bits", quantity=2**64),
    _line("a negative price", unit_price="-1"),
    _line("a price that is no number", unit_price="NaN"),
    Sample("an unknown order", "ordering", "POST", "/orders/no-such-order/cancellation"),
    Sample("an unknown SKU", "inventory", "POST", "/stock/no-such-sku/receipts", {"quantity": 1}),
    Sample("a SKU that cannot stand in a URL", "inventory", "PUT", "/stock/%00"),
    _customer("an address that is none", email="ada"),
    _customer("a name of two lines", name="Ada\nBcc: eve@example.org"),
    _customer("a customer without a name", name=None),
    Sample(
        "a change of what nobody has seen", "customers", "PATCH", "/customers/c1", {"name": "A"}
    ),
    Sample("a customer of notifications that is none", "notifications", "GET", _NOBODY),
    Sample("an unknown account", "loyalty", "GET", "/accounts/no-such-customer"),
    Sample("an absurd page", "ordering", "GET", f"/orders?limit={2**64}"),
    Sample("a state that is none", "fulfillment", "GET", "/processes?state=Nowhere"),
)


async def check_bad_input(
    audit: Audit,
    session: aiohttp.ClientSession,
    urls: Mapping[str, str],
    samples: Collection[Sample] = SAMPLES,
) -> Finding:
    """Send bad requests while nothing else goes on: each gets a problem, and nothing is stored."""
    before = dict(await audit.row("written"))
    samples = [sample for sample in samples if sample.service in urls]
    faults = [fault for sample in samples if (fault := await _send(session, urls, sample))]
    after = dict(await audit.row("written"))
    faults += [
        f"{name.replace('_', ' ')} are not the same"
        for name in before
        if before[name] != after[name]
    ]
    return finding(faults, {"bad_requests_refused": len(samples) - len(faults)} | after)


async def _send(
    session: aiohttp.ClientSession, urls: Mapping[str, str], sample: Sample
) -> str | None:
    """Send one; return what was wrong with the answer."""
    raw = sample.body if isinstance(sample.body, bytes) else None
    async with session.request(
        sample.method,
        urls[sample.service] + sample.path,
        data=raw,
        json=None if raw else sample.body,
        headers={"Content-Type": "application/json"} if raw else None,
    ) as answer:
        is_problem = answer.content_type == "application/problem+json"
        if is_problem and 400 <= answer.status < 500:  # noqa: PLR2004  # the client's errors
            return None
        return (
            f"{sample.fault} got {answer.status} with {answer.content_type} from {sample.service}"
        )
