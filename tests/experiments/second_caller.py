"""A second caller of payments: what must payments learn when returns takes restocking fees.

The change is `changes/second-caller.patch`; `changes/second-caller-choreographed.patch` has in it
how the same is done where nobody commands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from stagepost.engine.styles import CHOREOGRAPHED, ORCHESTRATED, SYNCHRONOUS
from tests.experiments.checkout import Copy, changed
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


async def run(say: Callable[[str], None]) -> Result:
    """Count the change, run the shop with it in both styles that command, count the contrast."""
    with changed(COMMANDED) as commanded, changed(CHAINED) as chained:
        seen: Mapping[str, Seen] = {style: await _shop(commanded, style, say) for style in STYLES}
        say("Journeys of returns where nobody commands")
        journeys = await chained.run("-m", "pytest", "-q", JOURNEYS, "-k", CHOREOGRAPHED)
        disguised: Mapping[str, int] = {
            ORCHESTRATED: await _disguised(commanded, ORCHESTRATED),
            CHOREOGRAPHED: await _disguised(chained, CHOREOGRAPHED),
        }
        diffs = commanded.diff, chained.diff
    holds = (
        not commanded.diff.touched_services
        and chained.diff.touched_services == {PAYMENTS}
        and all(keeps(each) for each in seen.values())
        and journeys.status == 0
    )
    tables = [_change(*diffs, disguised), _course(seen), _money(seen)]
    return Result(tables, list(_says(seen, *diffs)), holds)


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


def keeps(seen: Seen) -> bool:
    """Tell whether money agrees and every promise holds, although payments was killed."""
    asked_again = {money.caller: money.asked_again for money in seen.money}
    return (
        asked_again.keys() == CALLERS
        and asked_again[RETURNS] > 0
        and all(money.agrees for money in seen.money)
        and any(seen.killed)
        and not seen.broken
    )


def _change(commanded: Diff, chained: Diff, disguised: Mapping[str, int]) -> Table:
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
        ("commands in disguise found", *disguised.values()),
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
            money.agrees,
        )
        for style, each in seen.items()
        for money in each.money
    ]
    heads = (
        *("", "caller", "payments", "asked again", "charges of one"),
        *("provider has", "payments says", "caller counts on", "agree"),
    )
    return Table("The money of each caller, in the end", heads, rows)


def _units(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02}"


def _says(seen: Mapping[str, Seen], commanded: Diff, chained: Diff) -> Iterator[str]:
    """Say what the tables show, and what they do not."""
    unasked = {
        style: sum(m.unasked for m in each.money if m.caller == RETURNS)
        for style, each in seen.items()
    }
    elsewhere = ", ".join(file.path for file in commanded.of([ELSEWHERE]))
    yield (
        "Payments knows money by (caller, reference). A new caller brings its own, so payments has"
        " nothing to learn, and one order has two payments that nobody mixes up. Answers to the"
        f" other are ignored: returns heard {unasked[ORCHESTRATED]} of them over the broker,"
        f" {unasked[SYNCHRONOUS]} over HTTP."
    )
    yield (
        "Every return was asked for twice at once. A fee without an answer in time was asked for"
        " again under its reference, then called off; no card was charged twice for one payment."
    )
    yield (
        f"Elsewhere is {elsewhere}. The checks were written when payments had one caller: they had"
        " to learn whose money there is, and that an answer over HTTP comes to who asked alone."
    )
    yield (
        "Where nobody commands, payments must learn returns' events, and so those of every caller"
        " more. Inventory and ordering hear what it tells about fees, too: that the order is paid"
        " and has ended by then is all that keeps them from acting on it."
    )
    yield (
        "Not shown: that this is much work. In lines it is little either way; what differs is who"
        " must change, and what must be released together. The right column has both ways in it."
    )
    for style, each in seen.items():
        for promise, detail in each.broken.items():
            yield f"BROKEN, {style}: {promise}: {detail}"
