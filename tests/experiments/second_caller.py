"""A second caller of payments: what must payments learn when returns takes restocking fees.

The change is `changes/second-caller.patch`; `changes/second-caller-choreographed.patch` has in it
how the same is done where nobody commands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from stagepost.engine.styles import CHOREOGRAPHED, ORCHESTRATED, SYNCHRONOUS
from tests.experiments.checkout import Copy, Journeys, changed
from tests.experiments.diff import CONTRACTS, ELSEWHERE, TESTS, ChangedFile, Diff, lines
from tests.experiments.result import Result, Table
from tests.experiments.second_caller_seen import Seen

PAYMENTS, RETURNS = "payments", "returns"
CALLERS = {"fulfillment", RETURNS}
COMMANDED, CHAINED = "second-caller", "second-caller-choreographed"
SHOP = "tests.experiments.second_caller_shop"
STYLES = (ORCHESTRATED, SYNCHRONOUS)
JOURNEYS = "tests/journeys/test_returns.py"
DECLINED, LATE = "declined by the bank", "timed out waiting for the fee"

TRIED = (
    "Each return was asked for twice at once. A fee without an answer in time is asked for again "
    "under its reference, and in the end called off. Most charges: how often a card was charged "
    "for one payment; overheard: answers to others that the caller heard as well."
)
NOT_SHOWN = (
    "What this does not show: that either is much work. What differs is who must change, and what "
    "must be released together. The right column has both ways in it: what is new in returns "
    "serves the styles that command as well."
)


async def run(say: Callable[[str], None]) -> Result:
    """Count the change, run the shop with it in both styles that command, try the contrast."""
    with changed(COMMANDED) as commanded, changed(CHAINED) as chained:
        seen = {style: await _shop(commanded, style, say) for style in STYLES}
        say("Journeys of returns where nobody commands")
        journeys = await chained.journeys(CHOREOGRAPHED, JOURNEYS)
        disguised = [
            await _disguised(commanded, ORCHESTRATED),
            await _disguised(chained, CHOREOGRAPHED),
        ]
        hearers = await _hearers(chained)
    diffs = commanded.diff, chained.diff
    holds = (
        not commanded.diff.touched_services
        and chained.diff.touched_services == {PAYMENTS}
        and all(keeps(each) for each in seen.values())
        and not journeys.failed
    )
    tables = [_change(*diffs, disguised), _course(seen), _money(seen)]
    says = [TRIED, *_of_change(commanded.diff, hearers, journeys), NOT_SHOWN, *_broken(seen)]
    return Result(tables, says, holds)


async def _shop(copy: Copy, style: str, say: Callable[[str], None]) -> Seen:
    """Run the shop in the copy.

    Raises:
        CopyFailed: it came to no end.
    """
    say(f"The shop with returns, {style}: orders, returns, and payments killed meanwhile")
    folder = copy.folder / style
    folder.mkdir()
    await copy.told("-m", SHOP, style, str(folder))
    return Seen.model_validate_json((folder / "seen.json").read_text())


async def _disguised(copy: Copy, style: str) -> int:
    """Count the commands in disguise that `stagepost check` finds between returns and payments."""
    ran = await copy.run("-m", "stagepost", "check", "--style", style, "--json")
    found = json.loads(ran.out)
    return sum(one["rule"] == "command in disguise" and RETURNS in one["place"] for one in found)


async def _hearers(copy: Copy) -> set[str]:
    """Return who else hears of every fee where nobody commands."""
    told = {"PaymentReceived", "PaymentDeclined", "PaymentRefunded"}
    links = await copy.links(CHOREOGRAPHED)
    return {link.reader for link in links if link.message in told} - {RETURNS, ""}


def keeps(seen: Seen) -> bool:
    """Tell whether money agrees and every promise holds, although every kill hit returns."""
    asked_again = {money.caller: money.asked_again for money in seen.money}
    return (
        asked_again.keys() == CALLERS
        and asked_again[RETURNS] > 0
        and all(money.agrees for money in seen.money)
        and min(seen.killed, default=0) > 0
        and not seen.broken
    )


def _change(commanded: Diff, chained: Diff, disguised: Sequence[int]) -> Table:
    diffs = commanded, chained
    rows: list[Sequence[object]] = [
        (PAYMENTS, *(_size(diff.of([PAYMENTS])) for diff in diffs)),
        (
            "every other service",
            *(_size(diff.of(diff.touched_services - {PAYMENTS})) for diff in diffs),
        ),
        (f"{RETURNS}, which is new", *(_size(diff.of(diff.new_services)) for diff in diffs)),
    ]
    rows += [
        (place, *(_size(diff.of([place])) for diff in diffs))
        for place in (CONTRACTS, TESTS, ELSEWHERE)
    ]
    rows += [
        ("to be deployed", *(", ".join(sorted(diff.services)) for diff in diffs)),
        ("commands in disguise found", *disguised),
    ]
    heads = ("", "returns commands payments", "and where nobody commands, payments reacts")
    return Table("What a second caller of payments changes", heads, rows)


def _size(files: Sequence[ChangedFile]) -> str:
    return f"{len(files)} file{'' if len(files) == 1 else 's'}, {lines(files)}"


def _course(seen: Mapping[str, Seen]) -> Table:
    rows = [
        (
            *(style, each.orders, each.accepted + sum(each.refused.values()), each.accepted),
            *(each.refused.get(reason, 0) for reason in (DECLINED, LATE)),
            ", ".join(map(str, each.killed)),
            f"{each.promises - len(each.broken)} of {each.promises}",
        )
        for style, each in seen.items()
    ]
    heads = (
        *("", "orders", "sent back", "fee paid", "declined", "called off"),
        *("under way as payments was killed", "promises kept"),
    )
    return Table("What the shop went through", heads, rows)


def _money(seen: Mapping[str, Seen]) -> Table:
    rows = [
        (
            *(style, money.caller, money.payments, money.asked_again, money.most_charges),
            *(_units(minor) for minor in (money.provider, money.says, money.counted_on)),
            *(money.unasked, money.agrees),
        )
        for style, each in seen.items()
        for money in each.money
    ]
    heads = (
        *("", "caller", "payments", "asked again", "most charges"),
        *("provider has", "payments says", "caller says", "overheard", "agree"),
    )
    return Table("The money of each caller, in the end", heads, rows)


def _units(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02}"


def _broken(seen: Mapping[str, Seen]) -> Iterator[str]:
    for style, each in seen.items():
        for promise, detail in each.broken.items():
            yield f"BROKEN, {style}: {promise}: {detail}"


def _of_change(commanded: Diff, hearers: set[str], journeys: Journeys) -> Iterator[str]:
    """Say what the counts do not tell of the change."""
    yield (
        "Payments knows money by (caller, reference), and a new caller brings its own. Elsewhere is"
        f" {', '.join(file.path for file in commanded.of([ELSEWHERE]))}: the checks were written"
        " when payments had one caller, and had to learn whose money there is, and that an answer"
        " over HTTP comes to who asked alone."
    )
    yield (
        "Where nobody commands, payments reads the events of every caller, and so changes with each"
        f" new one. Of every fee it tells {', '.join(sorted(hearers))} as well. The journeys of"
        f" returns there: {journeys.passed} passed{_failed(journeys)}."
    )


def _failed(journeys: Journeys) -> str:
    return f", failed: {', '.join(journeys.failed)}" if journeys.failed else ""
