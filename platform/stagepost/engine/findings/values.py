"""What the rules look at, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias

from stagepost.engine.findings.code import Reach
from stagepost.engine.link_file import Record
from stagepost.engine.links import Link
from stagepost.engine.service import Service
from stagepost.messages import Message


class Level(StrEnum):
    """How much a finding says: that something is wrong, may be wrong, or is worth to know."""

    FINDING = "finding"
    HINT = "hint"
    NOTE = "note"


@dataclass(frozen=True)
class System:
    """The services of a style and their links; `records` is what stagepost.toml says of links.

    `elsewhere` are the links that there are in other styles only, `unspoken` the messages of the
    contracts that no service sends in any style, `reaches` what services do that is another's.
    """

    services: Mapping[str, Service]
    links: Sequence[Link] = ()
    records: Mapping[str, Record] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()
    unspoken: Sequence[type[Message]] = ()
    reaches: Sequence[Reach] = ()

    def accepts(self, link: str) -> str | None:
        """Return why what is found at a link may stay; None where it may not."""
        return self.records[link].accepted if link in self.records else None

    @cached_property
    def subscriptions(self) -> list[Link]:
        """What services hear of others that they did not ask for."""
        return [link for link in self.links if link.kind == "event" and link.sender != link.reader]


@dataclass(frozen=True)
class Finding:
    """One thing that was found: where, what it is, and the way out.

    It can be accepted at any of its `links`.
    """

    place: str
    what: str
    way_out: str
    links: frozenset[str] = frozenset()
    level: Level = Level.FINDING
    drawing: tuple[str, ...] = ()


Rule: TypeAlias = Callable[[System], Iterable[Finding]]


def unless_accepted(
    system: System, links: Iterable[Link], find: Callable[[Sequence[Link]], Iterable[Finding]]
) -> Iterator[Finding]:
    """Find what several links make up together: an accepted one of them takes it apart."""
    every = list(links)
    left = list(find([link for link in every if system.accepts(link.name) is None]))
    standing = {link for finding in left for link in finding.links}
    yield from left
    yield from (finding for finding in find(every) if standing.isdisjoint(finding.links))
