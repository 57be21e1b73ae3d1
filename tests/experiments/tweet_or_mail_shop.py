"""The whole stack with one service missing, or with all of them: what happens, and what is seen."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

import aiohttp
import nats
from prometheus_client.parser import text_string_to_metric_families

from services.notifications.letters import SUBJECTS
from services.notifications.notification import About
from stagepost.engine.discovery import find_services
from stagepost.engine.flow import Flow
from stagepost.engine.runtime import MEASURE_SECONDS
from stagepost.engine.stack import Stack
from stagepost.engine.status import LAGS, standings
from stagepost.engine.transports.nats_rules import ADMIN
from tests.journeys.customer import Customer
from tests.notifications.mail_server import MailServer

DEADLINE = 3.0
"""Seconds that a letter has each time it is asked for."""
WELCOME = SUBJECTS[About.WELCOME]
STILL = 1.0
"""Seconds in which no journal has grown: all is quiet."""


class Entry(NamedTuple):
    """One line of a service's journal."""

    service: str
    direction: str
    type: str
    peer: str | None
    outcome: str | None
    at: datetime

    @property
    def name(self) -> str:
        """The message's own name."""
        return self.type.rpartition(".")[2]


class Alarms(NamedTuple):
    """What who looks after services would see.

    `health` is by service, `gauges` are by service and name; `waiting` is what `stagepost status`
    counts, where it counts anything.
    """

    health: Mapping[str, str]
    gauges: Mapping[str, float]
    waiting: Mapping[str, int]

    @property
    def is_well(self) -> bool:
        """Whether all services say so."""
        return set(self.health.values()) == {"ok"}

    def beside(self, usual: Alarms) -> list[str]:
        """Say which gauges are not as they usually are."""
        return [
            f"{name} {value:g} instead of {usual.gauges[name]:g}"
            for name, value in self.gauges.items()
            if value != usual.gauges[name]
        ]


@dataclass(frozen=True)
class Shop:
    """A stack that runs, and somebody who uses it."""

    customer: Customer

    async def register(self, customer_id: str) -> None:
        assert await self.customer.register(customer_id) == 201

    async def buy(self, customer_id: str) -> str:
        """Register a customer and have them order; return the order, once it is confirmed."""
        await self.register(customer_id)
        order_id = await self.customer.order("chair", 2, customer_id=customer_id)
        await self.customer.until_ended(order_id)
        return order_id

    async def settled(self, missing: str, *keys: str) -> list[Entry]:
        """Wait until all is quiet; return what the others' journals say about these keys."""
        before, now = None, await self._journals(keys)
        while now != before:
            await asyncio.sleep(STILL)
            before, now = now, await self._journals(keys)
        return [entry for entry in now if entry.service != missing]

    async def _journals(self, keys: Iterable[str]) -> list[Entry]:
        found = [
            Entry(
                service,
                line["direction"],
                line["type"],
                line["peer"],
                line["outcome"],
                datetime.fromisoformat(line["recorded_at"]),
            )
            for service in self.customer.stack.services
            for key in keys
            for line in (await self._see(service, f"/journal?order_id={key}&limit=500"))["items"]
        ]
        return sorted(found, key=lambda entry: entry.at)

    async def alarms(self) -> Alarms:
        """Look at what would alarm somebody; figures in metrics are given time to be measured."""
        await asyncio.sleep(MEASURE_SECONDS)
        health, gauges = {}, {}
        for service in self.customer.stack.services:
            health[service] = (await self._see(service, "/health/ready"))["health"]
            gauges |= await self._gauges(service)
        return Alarms(health, gauges, await self._waiting())

    async def _waiting(self) -> dict[str, int]:
        """Return what `stagepost status` counts, where it is not 0."""
        return {
            f"{standing.service} {lag}": getattr(standing, lag)
            for standing in await standings(self.customer.stack.data)
            for lag in LAGS
            if getattr(standing, lag)
        }

    async def _gauges(self, service: str) -> dict[str, float]:
        url = f"{self.customer.stack.url(service)}/metrics"
        async with self.customer.http.get(url) as answer:
            text = await answer.text()
        return {
            f"{service} {sample.name.removeprefix('stagepost_')}": sample.value
            for family in text_string_to_metric_families(text)
            if family.type == "gauge" and family.name.startswith("stagepost_")
            for sample in family.samples
        }

    async def kept_for(self, reader: str) -> Counter[str]:
        """Count what the broker keeps of what a service would read, which may not run."""
        kept: Counter[str] = Counter()
        client = await nats.connect(self.customer.stack.nats_url(ADMIN))
        try:
            for source in self.customer.stack.services.values():
                info = await client.jetstream().stream_info(source.name, subjects_filter=">")
                wanted = {m.__name__ for m in find_services()[reader].reads_from(source)}
                for subject, count in (info.state.subjects or {}).items():
                    if (name := subject.rpartition(".")[2]) in wanted:
                        kept[name] += count
        finally:
            await client.close()
        return kept

    async def _see(self, service: str, path: str) -> dict:
        found = await self.customer.see(service, path)
        assert found is not None, f"{service} does not answer {path}"
        return found


@dataclass(frozen=True)
class Site:
    """A folder for a stack, and the mail server that it sends to."""

    data: Path
    mail: MailServer
    say: Callable[[str], None]

    @asynccontextmanager
    async def opened(self, missing: str | None = None) -> AsyncIterator[Shop]:
        """Run the stack, with or without all of its services."""
        stack = Stack(
            self.data,
            flow=Flow(only=frozenset(find_services()) - {missing}),
            timers={"LetterDue": DEADLINE},
            env={"STAGEPOST_MAIL_SERVER": self.mail.url},
            say=self.say,
        )
        async with stack, aiohttp.ClientSession() as http:
            yield Shop(Customer(http, stack))

    def letters_to(self, customer_id: str) -> list[EmailMessage]:
        """Return the welcome letters that a customer has got."""
        mails = self.mail.to(f"{customer_id}@example.org")
        return [mail for mail in mails if mail["Subject"] == WELCOME]
