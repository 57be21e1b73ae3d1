"""Rules about what is told: chains without an owner, cycles, words that nobody says or hears."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from stagepost.engine.findings.graphs import cycles, draw, graph_of, longest_way, regions
from stagepost.engine.findings.values import Finding, Level, System, unless_accepted
from stagepost.engine.links import ARROW, Link
from stagepost.messages import Command


def ownerless_chains(system: System) -> Iterator[Finding]:
    """Three services or more in a row that only react: a process that nobody wrote down.

    Each tells the next, and none owns what comes of it. Which of its events a service tells upon
    which is not declared: whoever hears and tells passes on. Where a process hears, it owns what
    comes of it, and the chain has a home.
    """
    hops = [link for link in system.subscriptions if not _is_owned(system, link)]
    return unless_accepted(system, hops, _chains)


def _is_owned(system: System, link: Link) -> bool:
    processes = system.services[link.reader].processes
    return any(link.message in (p.starts_on, *p.listens_to) for p in processes)


def _chains(hops: Sequence[Link]) -> Iterator[Finding]:
    pairs = {(hop.sender, hop.reader) for hop in hops}
    in_a_row = [hop for hop in hops if _goes_on(hop.sender, hop.reader, pairs)]
    for region in regions(in_a_row):
        graph = graph_of(region)
        way = longest_way(graph)
        yield Finding(
            place=" -> ".join(way),
            what=f"{len(way)} services in a row react to each other's events: together they are a"
            " process, and none of them owns what comes of it: nobody knows where it stands, minds"
            " a deadline or can change the order of its steps alone",
            way_out="give it a home: a process that starts on what begins it, and commands the"
            " others",
            links=frozenset(hop.name for hop in region),
            drawing=draw(graph, way),
        )


def _goes_on(sender: str, reader: str, pairs: Iterable[tuple[str, str]]) -> bool:
    """Say whether a hop has another before it or behind it, from or to a third service."""
    return any((b == sender and a != reader) or (a == reader and b != sender) for a, b in pairs)


def cycles_of_subscriptions(system: System) -> Iterator[Finding]:
    """Services that hear, in the end, of what they told themselves: none can be changed alone."""
    return unless_accepted(system, system.subscriptions, _cycles)


def _cycles(links: Sequence[Link]) -> Iterator[Finding]:
    graph = graph_of(links)
    for mates, cycle in cycles(graph).items():
        yield Finding(
            place=", ".join(service for service in graph if service in mates),
            what="each of them depends on what others of them tell; a shortest way round:",
            way_out="let one own the outcome and command another: a command turns the dependency",
            links=frozenset(f"{a}{ARROW}{b}" for a, b in pairwise([*cycle, cycle[0]])),
            drawing=draw(graph, cycle),
        )


def unsent(system: System) -> Iterator[Finding]:
    """Messages that somebody waits for, or that the contracts name, and that nobody sends."""
    sent = {message for service in system.services.values() for message in service.sends}
    for service in system.services.values():
        for message in sorted(service.reads - sent, key=lambda m: m.TYPE):
            yield Finding(
                place=f"{service.name}: {message.TYPE}",
                what=f"{service.name} handles {message.__name__}, and no service sends it",
                way_out=f"add it to `sends` of whoever should, or take it out of {service.name}",
            )
    for message in system.unspoken:
        yield Finding(
            place=message.TYPE,
            what="the contracts name it, and no service sends it in any style",
            way_out="let a service send it, or take it out of the contracts",
        )


def unread(system: System) -> Iterator[Finding]:
    """Events that nobody reads: that is what an event is, and worth to know."""
    read = {(link.sender, link.message) for link in system.links}
    for service in system.services.values():
        for message in service.sends:
            if not issubclass(message, Command) and (service.name, message) not in read:
                yield Finding(
                    place=f"{service.name}: {message.TYPE}",
                    what=f"nobody reads {message.__name__}, which {service.name} tells",
                    way_out="none is needed: whoever cares may listen; who must act is commanded",
                    level=Level.NOTE,
                )
