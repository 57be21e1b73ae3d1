"""Who tells whom, as a graph: ways through it, cycles in it, and how they are drawn."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import TypeAlias

from stagepost.engine.links import Link

Graph: TypeAlias = Mapping[str, Mapping[str, list[str]]]
"""The messages that each sender tells each reader."""

WAYS = 10_000
"""How many ways through a graph are tried for the longest: more services have more than that."""


def graph_of(links: Iterable[Link]) -> Graph:
    graph: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for link in links:
        graph[link.sender].setdefault(link.reader, []).append(link.message.__name__)
    return graph


def longest_way(graph: Graph) -> tuple[str, ...]:
    """Return the services on the longest way through a graph, each once; it may lead back."""
    ways = (way for start in graph for way in _ways(graph, (start,)))
    return max(islice(ways, WAYS), key=lambda way: len(_hops(graph, way)))


def _ways(graph: Graph, way: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield way
    for reader in graph.get(way[-1], ()):
        if reader not in way:
            yield from _ways(graph, (*way, reader))


def regions(links: Sequence[Link]) -> list[list[Link]]:
    """Return links in groups that have no service in common."""
    groups: list[tuple[set[str], list[Link]]] = []
    for link in links:
        ends, group = {link.sender, link.reader}, [link]
        for known in [g for g in groups if not ends.isdisjoint(g[0])]:
            groups.remove(known)
            ends, group = ends | known[0], known[1] + group
        groups.append((ends, group))
    return [group for _, group in groups]


def cycles(graph: Graph) -> dict[frozenset[str], tuple[str, ...]]:
    """Return every set of services that all lead to each other, with a shortest way round in it."""
    reached = {service: _reached(graph, service) for service in graph}
    found: dict[frozenset[str], tuple[str, ...]] = {}
    for service in graph:
        mates = frozenset(m for m in reached[service] if service in reached.get(m, ()))
        cycle = _cycle(graph, service)
        if mates and (mates not in found or len(cycle) < len(found[mates])):
            found[mates] = cycle
    return found


def _reached(graph: Graph, start: str) -> set[str]:
    found, waiting = set[str](), deque([start])
    while waiting:
        new = graph.get(waiting.popleft(), {}).keys() - found
        found |= new
        waiting.extend(new)
    return found


def _cycle(graph: Graph, start: str) -> tuple[str, ...]:
    """Return the services on a shortest way back to where it starts; none where there is none."""
    seen, waiting = set[str](), deque[tuple[str, ...]]([(start,)])
    while waiting:
        way = waiting.popleft()
        for reader in graph.get(way[-1], ()):
            if reader == start:
                return way
            if reader not in seen:
                seen.add(reader)
                waiting.append((*way, reader))
    return ()


def draw(graph: Graph, way: Sequence[str]) -> tuple[str, ...]:
    """Draw a way, one line a hop; where it leads back to its start, that hop too."""
    hops = _hops(graph, way)
    widths = [max(map(len, names)) for names in zip(*hops, strict=True)]
    return tuple(
        f"{teller:<{widths[0]}} ..> {reader:<{widths[1]}}  {', '.join(graph[teller][reader])}"
        for teller, reader in hops
    )


def _hops(graph: Graph, way: Sequence[str]) -> list[tuple[str, str]]:
    leads_back = way[0] in graph.get(way[-1], ())
    return list(pairwise([*way, way[0]] if leads_back else way))
