"""The same journeys in all three styles, each on a real stack of its own.

How an order ends, and what a style gives, stands in two tables. Where styles differ, they differ
by name; nothing is left out of any.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from stagepost.engine.flow import Flow
from stagepost.engine.stack import Stack
from stagepost.engine.styles import CHOREOGRAPHED, ORCHESTRATED, STYLES, SYNCHRONOUS
from tests.journeys.customer import Customer
from tests.journeys.styles import (
    DEADLINE,
    KNOWN,
    OWNED,
    SHELF,
    SLOW,
    UNDONE,
    WANTED,
    End,
    Journeys,
    Seen,
)

CONFIRMED = End("confirmed")
REFUSED = End("rejected", "shipment: the address takes no parcels")
TIMED_OUT = End("rejected", "timed out waiting for payment")
CANCELLED = End("rejected", "cancelled by the customer", "done")


def all_end(end: End) -> Mapping[str, End]:
    return dict.fromkeys(STYLES, end)


def owned(end: End, *, choreographed: End) -> Mapping[str, End]:
    """Who orchestrates ends an order in time; where nobody does, something else happens."""
    return {ORCHESTRATED: end, SYNCHRONOUS: end, CHOREOGRAPHED: choreographed}


ENDS: Mapping[str, Mapping[str, End]] = {
    "all goes well": all_end(CONFIRMED),
    "the card is declined": all_end(End("rejected", "declined by the bank")),
    "out of stock": all_end(End("rejected", "stock: out of stock")),
    "the carrier refuses": all_end(REFUSED),
    "cancelled before payment": all_end(CANCELLED),
    "cancelled after the parcel left": all_end(End("confirmed", cancellation="too_late")),
    "the provider answers late": owned(TIMED_OUT, choreographed=CONFIRMED),
    "the provider's answer is lost": all_end(CONFIRMED),
    # It waits in vain, until its customer gives it up.
    "the provider never answers": owned(TIMED_OUT, choreographed=CANCELLED),
    "the carrier refuses while payments is down": all_end(REFUSED),
    "payments is down for long": owned(TIMED_OUT, choreographed=CONFIRMED),
}

GIVES: Mapping[str, Mapping[str, bool]] = {
    what: {ORCHESTRATED: True, SYNCHRONOUS: True, CHOREOGRAPHED: False}
    for what in (OWNED, KNOWN, UNDONE)
}

COMMANDS_OVER: Mapping[str, set[str]] = {
    ORCHESTRATED: {"broker"},
    SYNCHRONOUS: {"ordering", "payments", "inventory", "shipping"},
    CHOREOGRAPHED: set(),
}
"""Over which channels fulfillment commands: the recipient's own, where it waits for its answer."""


@pytest.fixture(scope="module", params=STYLES)
async def seen(request: pytest.FixtureRequest) -> AsyncIterator[Seen]:
    """What is seen when all journeys were gone in one style."""
    flow = Flow(request.param)
    data = Path(tempfile.mkdtemp(prefix="stagepost tests ", dir="/tmp"))
    timers = {"AnswersDue": DEADLINE, "GoodsDue": 2 * SLOW}
    env = {"STAGEPOST_OUTSIDE_SLOW_SECONDS": str(SLOW)}
    async with Stack(data, flow=flow, timers=timers, env=env) as stack:
        async with aiohttp.ClientSession(headers=stack.headers) as http:
            journeys = Journeys(Customer(http, stack), flow)
            await journeys.go()
        yield journeys.seen
    shutil.rmtree(data)


@pytest.mark.parametrize("journey", ENDS)
def test_an_order_ends_as_it_must_and_money_and_goods_agree(seen: Seen, journey: str) -> None:
    if journey in seen.wrong:
        raise seen.wrong[journey]

    found = seen.ended[journey]

    assert found.end == ENDS[journey][seen.style]
    confirmed = found.end.status == "confirmed"
    gone = WANTED if confirmed else 0
    assert found.shelf == {"on_hand": SHELF - gone, "reserved": 0, "gone": gone}
    assert found.kept == (found.amount if confirmed else 0)
    assert found.charges in ({1} if confirmed else {0, 1})


@pytest.mark.parametrize("what", GIVES)
def test_a_style_gives_what_it_can(seen: Seen, what: str) -> None:
    assert seen.gives[what] is GIVES[what][seen.style]


def test_a_style_is_what_it_says(seen: Seen) -> None:
    assert seen.commands_over == COMMANDS_OVER[seen.style]


def test_every_promise_holds_and_nothing_is_left_under_way(seen: Seen) -> None:
    assert {name: found for name, found in seen.promises.items() if not found.holds} == {}
    assert seen.under_way == {}
    assert seen.ended.keys() == ENDS.keys()
