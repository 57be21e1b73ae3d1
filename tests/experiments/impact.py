"""What one change of the sample costs in a style: counted from its diff and the links, then run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stagepost.engine.links_shown import Row
from stagepost.engine.styles import CHOREOGRAPHED, ORCHESTRATED, SYNCHRONOUS, Style
from tests.experiments.checkout import Copy, Journeys, changed
from tests.experiments.diff import CONTRACTS, ELSEWHERE, TESTS, ChangedFile, Diff, lines
from tests.experiments.mixes import Mix, mixes_of, table_of, together
from tests.experiments.result import Result, Table

RUN_IN: Mapping[Style, Sequence[Style]] = {
    ORCHESTRATED: (ORCHESTRATED, SYNCHRONOUS),
    CHOREOGRAPHED: (CHOREOGRAPHED,),
}
"""In which styles the journeys are gone after a change: where one commands, that is one change."""

MOVES = (
    "Services must move together where every way to deploy one after the other leads through "
    "a mix of old and new in which an order can end badly while the mix lasts. That was found "
    "by trying: every story of an order was walked in every mix, with the services' own code "
    "and a customer who may cancel. A service that can go first unnoticed, such as a new one, "
    "does not count."
)
NOT_SHOWN = (
    "What this does not show: it is one change of one sample, by people who knew both styles. "
    "Lines depend on the hand. Elsewhere is what any new service or picture changes, whatever "
    "the style. Whether services could go one by one with more releases (first hear both, "
    "then one) was not tried, nor what becomes of orders that are under way during the "
    "deployment."
)
"""What is to be said below the tables of every such change."""


@dataclass(frozen=True)
class Impact:
    """A change in one style: its diff, its links, mixes of old and new, its journeys."""

    style: Style
    diff: Diff
    added: Sequence[str]
    removed: Sequence[str]
    mixes: Sequence[Mix]
    journeys: Journeys

    @property
    def together(self) -> frozenset[str]:
        """Services that were there before, and of which none can be deployed without the others."""
        return together(self.mixes)


async def compare(
    change: str,
    title: str,
    verdict: Callable[[Impact, Impact], str],
    why: str,
    say: Callable[[str], None],
) -> Result:
    """Measure a change in both styles, orchestrated first, and put them side by side."""
    orchestrated = await measure(change, ORCHESTRATED, say)
    choreographed = await measure(change, CHOREOGRAPHED, say)
    impacts = orchestrated, choreographed
    return Result(
        (costs(title, impacts), links_of(impacts), table_of(choreographed.mixes)),
        (verdict(orchestrated, choreographed), why, MOVES, NOT_SHOWN),
        went_well(impacts),
    )


async def measure(change: str, style: Style, say: Callable[[str], None]) -> Impact:
    """Apply a change to a copy, and count; go the journeys in it."""
    with changed() as plain:
        before = await _links(plain, style)
    with changed(f"{change}-{style}") as copy:
        say(f"-- {change}, {style}: {len(copy.diff.services)} services")
        after = await _links(copy, style)
        mixes = []
        if style == CHOREOGRAPHED:
            mixes = await mixes_of(f"{change}-{style}", copy.diff.touched_services, say)
        went = []
        for way in RUN_IN[style]:
            journeys = await copy.journeys(way)
            say(f"   journeys, {way}: {_told(journeys)}")
            went.append(journeys)
    passed = sum(journeys.passed for journeys in went)
    failed = tuple(name for journeys in went for name in journeys.failed)
    return Impact(
        style,
        copy.diff,
        sorted(after - before),
        sorted(before - after),
        mixes,
        Journeys(passed, failed),
    )


async def _links(copy: Copy, style: str) -> set[str]:
    """Return the links of a style as they are drawn: commands with a solid arrow."""
    return {_drawn(row) for row in await copy.links(style) if row.reader}


def _drawn(row: Row) -> str:
    arrow = "-->" if row.kind == "command" else "..>"
    return f"{row.sender} {arrow} {row.reader}  {row.message}"


def went_well(impacts: Sequence[Impact]) -> bool:
    """Tell whether the change works in every style."""
    return not any(i.journeys.failed or any(mix.wrong for mix in i.mixes[-1:]) for i in impacts)


def costs(title: str, impacts: Sequence[Impact]) -> Table:
    """Put the costs in each style side by side."""
    rows = [(what, *map(count, impacts)) for what, count in _COUNTS.items()]
    return Table(title, ("", *(impact.style for impact in impacts)), rows)


def links_of(impacts: Sequence[Impact]) -> Table:
    """List the links that came and went."""
    rows = [
        (impact.style, sign, link)
        for impact in impacts
        for sign, links in (("+", impact.added), ("-", impact.removed))
        for link in links
    ]
    return Table("Links added (+) and removed (-)", ("", "", "link"), rows)


def _names(services: Iterable[str]) -> str:
    return ", ".join(sorted(services)) or "none"


def _named(services: frozenset[str]) -> str:
    return f"{len(services)}: {_names(services)}" if services else "none"


def _files(files: Sequence[ChangedFile]) -> str:
    new = sum(file.is_new for file in files)
    return f"{len(files) - new} changed, {new} new; lines {lines(files)}" if files else "none"


def _told(journeys: Journeys) -> str:
    failed = f", failed: {', '.join(journeys.failed)}" if journeys.failed else ""
    return f"{journeys.passed} passed{failed}"


def _in_styles(impact: Impact) -> str:
    return f"{_told(impact.journeys)} ({' and '.join(RUN_IN[impact.style])})"


_COUNTS: dict[str, Callable[[Impact], object]] = {
    "services there before, touched": lambda i: _named(i.diff.touched_services),
    "new services": lambda i: _named(i.diff.new_services),
    "services to deploy": lambda i: len(i.diff.services),
    "of them must move together": lambda i: _named(i.together),
    "links added": lambda i: len(i.added),
    "links removed": lambda i: len(i.removed),
    "contracts": lambda i: _files(i.diff.of([CONTRACTS])),
    "files of services there before": lambda i: _files(i.diff.of(i.diff.touched_services)),
    "files of new services": lambda i: _files(i.diff.of(i.diff.new_services)),
    "tests": lambda i: _files(i.diff.of([TESTS])),
    "elsewhere": lambda i: _files(i.diff.of([ELSEWHERE])),
    "tests of journeys": _in_styles,
}
