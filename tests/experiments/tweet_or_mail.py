"""Tweet or mail: an event without a reader is fine, a command without its recipient is not.

The stack runs without loyalty and notifications: neither hears OrderConfirmed, and nobody takes
SendWelcomeLetter, which customers commands. Then both come, and a second customer does the same.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from services.notifications.letters import SUBJECTS
from services.notifications.notification import About
from stagepost.engine.discovery import find_services
from stagepost.engine.findings import check
from stagepost.engine.findings.read import read_system
from stagepost.engine.flow import Flow
from stagepost.engine.links_shown import dependencies
from stagepost.engine.stack import Stack
from tests.experiments.result import Result, Table
from tests.experiments.tweet_or_mail_seen import COMMAND, EVENT, Beside, Entry, Seen
from tests.journeys.customer import Customer
from tests.notifications.mail_server import MailServer, mail_server

READER, RECIPIENT = "loyalty", "notifications"
DEADLINE = 3.0
"""Seconds that a letter has each time it is asked for."""
WELCOME = SUBJECTS[About.WELCOME]
POINTS = 25
"""What the order is worth."""

SHOWS = (
    "What it shows: the broker keeps both for whoever comes later; what differs is who minds. An"
    " event is told and done with: nothing else about the order changes. A command is owed an"
    " answer: its sender counts the tries, minds the time, and tells in the end that it had none."
    " Before anything runs, stagepost check refuses the command alone."
)
SHOWS_NOT = (
    "What it does not show: that somebody looks. Health alarms in neither case, for all that runs"
    " is well; only the sender tells that its command has no recipient, because it waits with a"
    " deadline. And what it tells is an event: in this shop nobody reads OnboardingOverdue yet."
)


async def run(say: Callable[[str], None]) -> Result:
    """Run the stack without the two services and then with them; look at both."""
    with TemporaryDirectory(prefix="stagepost experiment ", dir="/tmp") as folder:
        async with mail_server() as mail:
            seen = await _seen(Path(folder), mail, say)
    title = f"without {READER} and {RECIPIENT}, then with them"
    table = Table(title, ("", f"event: {EVENT}", f"command: {COMMAND}"), seen.rows)
    return Result([table], [SHOWS, SHOWS_NOT], seen.holds)


async def _seen(data: Path, mail: MailServer, say: Callable[[str], None]) -> Seen:
    say(f"the stack without {READER} and {RECIPIENT}")
    async with _opened(data, mail, without=frozenset({READER, RECIPIENT})) as shop:
        order = await shop.buy("ada")
        await shop.customer.until_onboarding("ada", "Overdue")
        alone = [await shop.journals(key) for key in (order, "ada")]
        health = [(await shop.see(name, "/health/ready"))["health"] for name in shop.services]
    say("the same with them")
    async with _opened(data, mail) as shop:
        started = time.monotonic()
        await shop.customer.until_points("ada", POINTS)
        points = time.monotonic() - started
        await shop.customer.until_onboarding("ada", "Onboarded")
        proof = time.monotonic() - started
        order = await shop.buy("bea")
        await shop.customer.until_onboarding("bea", "Onboarded")
        together = [await shop.journals(key) for key in (order, "bea")]
    of_order, of_customer = map(Beside, alone, together)
    return Seen(
        order=of_order,
        customer=of_customer,
        needs={name: _needs(name) for name in (EVENT, COMMAND)},
        found={EVENT: _found(READER), COMMAND: _found(RECIPIENT)},
        health=health,
        points=points,
        proof=proof,
        letters=sum(letter["Subject"] == WELCOME for letter in mail.to("ada@example.org")),
    )


def _needs(message: str) -> list[str]:
    """Return who depends on whom for a message, where one of the two is missing."""
    missing = {READER, RECIPIENT}
    return [
        f"{who} on {on}"
        for (who, on), messages in dependencies(Flow()).items()
        if message in messages and not missing.isdisjoint({who, on})
    ]


def _found(missing: str) -> list[str]:
    """Return what `stagepost check` finds where a service is missing."""
    system = read_system(Flow(only=frozenset(find_services()) - {missing}))
    return [f"{one.rule}: {one.finding.place}" for one in check(system) if one.is_open]


@dataclass(frozen=True)
class Shop:
    """A stack that runs, and somebody who uses it."""

    customer: Customer

    @property
    def services(self) -> Sequence[str]:
        return list(self.customer.stack.services)

    async def buy(self, customer_id: str) -> str:
        """Register a customer and have them order; return the order, when all is done for it."""
        assert await self.customer.register(customer_id) == 201
        await self.customer.receive("chair", 2)
        order_id = await self.customer.order("chair", 2, customer_id=customer_id)
        await self.customer.until_in(order_id, "Confirmed")
        return order_id

    async def journals(self, key: str) -> list[Entry]:
        """Return what the services that were never missing sent and heard about a key."""
        entries = [
            Entry(
                service,
                line["direction"],
                line["type"].rpartition(".")[2],
                datetime.fromisoformat(line["recorded_at"]),
            )
            for service in self.services
            if service not in {READER, RECIPIENT}
            for line in (await self.see(service, f"/journal?order_id={key}"))["items"]
        ]
        return sorted(entries, key=lambda entry: entry.at)

    async def see(self, service: str, path: str) -> dict:
        found = await self.customer.see(service, path)
        assert found is not None, f"{service} does not answer {path}"
        return found


@asynccontextmanager
async def _opened(
    data: Path, mail: MailServer, without: frozenset[str] = frozenset()
) -> AsyncIterator[Shop]:
    stack = Stack(
        data,
        flow=Flow(only=frozenset(find_services()) - without),
        timers={"LetterDue": DEADLINE},
        env={"STAGEPOST_MAIL_SERVER": mail.url},
    )
    async with stack, aiohttp.ClientSession(headers=stack.headers) as http:
        yield Shop(Customer(http, stack))
