"""Tweet or mail: an event without a reader is fine, a command without its recipient is not.

Once the stack runs without loyalty, which reads CustomerRegistered and OrderConfirmed, and once
without notifications, which customers commands to SendWelcomeLetter. Then the missing service
comes, and a second customer does the same with all of them there.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.experiments.result import Result, Table
from tests.experiments.tweet_or_mail_registry import without
from tests.experiments.tweet_or_mail_seen import ROWS, Command, Event
from tests.experiments.tweet_or_mail_shop import Site
from tests.notifications.mail_server import mail_server

Say = Callable[[str], None]

READER, RECIPIENT = "loyalty", "notifications"
POINTS = 25
"""What the order is worth."""

LEGEND = (
    "(1) beside those of a customer who comes when all services are there; (2) in a copy of this"
    " checkout without the service."
)
SHOWS = (
    "What it shows: the broker keeps both for whoever comes later; what differs is who minds. An"
    " event is told and done with: nothing upstream is another, no figure moves, and who comes late"
    " reads from the beginning. A command is owed an answer: its sender counts the tries and the"
    " time, and tells a person. Before anything runs, stagepost check refuses it."
)
SHOWS_NOT = (
    "What it does not show: that somebody looks. Health alarms in neither case, for all that runs"
    " is well; the sender alone tells that a command has no recipient, because it waits with a"
    " deadline. And what it tells is an event: in this shop nobody reads OnboardingOverdue yet."
)


async def run(say: Say) -> Result:
    """Run the stack without a reader, then without a recipient; look at both."""
    event = await _without_reader(say)
    command = await _without_recipient(say)
    return Result(
        tables=[
            Table(
                f"an event without its reader ({READER} is missing), a command without its"
                f" recipient ({RECIPIENT} is missing)",
                ("", "event", "command"),
                list(zip(ROWS, event.cells, command.cells, strict=True)),
            )
        ],
        says=[LEGEND, SHOWS, SHOWS_NOT],
        holds=event.holds and command.holds,
    )


async def _without_reader(say: Say) -> Event:
    registry = await without(READER, contract=True)
    async with _site(say) as site:
        say(f"the stack without {READER}")
        async with site.opened(missing=READER) as shop:
            await shop.customer.receive("chair", 100)
            order_id = await shop.buy("ada")
            found = await shop.customer.until_onboarding("ada", "Onboarded")
            order = await shop.customer.see("ordering", f"/orders/{order_id}")
            journal = await shop.settled(READER, "ada", order_id)
            alarms, kept = await shop.alarms(), await shop.kept_for(READER)
        say("the same with it")
        async with site.opened() as shop:
            ready = time.monotonic()
            await shop.customer.until_points("ada", POINTS)
            took = time.monotonic() - ready
            later = await shop.settled(READER, "ada", order_id)
            beside = await shop.settled(READER, "bea", await shop.buy("bea"))
            return Event(
                missing=READER,
                journal=journal,
                later=later,
                beside=beside,
                alarms=alarms,
                usual=await shop.alarms(),
                kept=kept,
                registry=registry,
                took=took,
                onboarding=found["state"],
                order=order["status"],
                points=POINTS,
            )


async def _without_recipient(say: Say) -> Command:
    registry = await without(RECIPIENT, contract=False)
    async with _site(say) as site:
        say(f"the stack without {RECIPIENT}")
        async with site.opened(missing=RECIPIENT) as shop:
            await shop.register("ada")
            waited = await shop.customer.until_onboarding("ada", "AwaitingLetter")
            meanwhile = await shop.alarms()
            overdue = await shop.customer.until_onboarding("ada", "Overdue")
            journal = await shop.settled(RECIPIENT, "ada")
            alarms, kept = await shop.alarms(), await shop.kept_for(RECIPIENT)
        say("the same with it")
        async with site.opened() as shop:
            ready = time.monotonic()
            ended = await shop.customer.until_onboarding("ada", "Onboarded")
            took = time.monotonic() - ready
            later = await shop.settled(RECIPIENT, "ada")
            await shop.register("bea")
            await shop.customer.until_onboarding("bea", "Onboarded")
            return Command(
                missing=RECIPIENT,
                journal=journal,
                later=later,
                beside=await shop.settled(RECIPIENT, "bea"),
                alarms=alarms,
                usual=await shop.alarms(),
                kept=kept,
                registry=registry,
                took=took,
                meanwhile=meanwhile,
                waited=waited["state"],
                overdue=overdue["state"],
                ended=ended["state"],
                letters=len(site.letters_to("ada")),
            )


@asynccontextmanager
async def _site(say: Say) -> AsyncIterator[Site]:
    """Give a folder for a stack, and a mail server."""
    with TemporaryDirectory(prefix="stagepost experiment ", dir="/tmp") as folder:
        async with mail_server() as mail:
            yield Site(Path(folder), mail, say)
