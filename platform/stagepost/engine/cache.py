"""Aggregates in memory between batches; the store's version checks make a stale one harmless."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias
from uuid import UUID

from stagepost.aggregate import Aggregate
from stagepost.errors import UnreadableStream

CAPACITY = 2_000
"""Aggregates kept at most, the least recently used go first."""


Loadable: TypeAlias = Aggregate | UnreadableStream | None
"""What the store had under a stream: None where it had nothing."""


class Cache(Mapping[UUID, Loadable]):
    """Aggregates by stream, and what was found instead of them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[UUID, Loadable] = OrderedDict()
        self._fresh: set[UUID] = set()

    def __getitem__(self, stream: UUID) -> Loadable:
        return self._kept[stream]

    def __iter__(self) -> Iterator[UUID]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, stream: object) -> bool:
        return stream in self._kept

    def add(self, loaded: Mapping[UUID, Loadable]) -> None:
        """Take what was just loaded: it is fresh until the batch ends."""
        self._kept.update(loaded)
        self._fresh.update(loaded)

    def keep(self, touched: Mapping[UUID, Loadable]) -> None:
        """Take what a decision touched or made."""
        for stream, aggregate in touched.items():
            self._kept[stream] = aggregate
            self._kept.move_to_end(stream)

    def older(self, streams: Iterable[UUID]) -> list[UUID]:
        """Return those that were loaded for an earlier batch."""
        return [stream for stream in streams if stream not in self._fresh]

    def forget(self, streams: Iterable[UUID]) -> None:
        for stream in streams:
            self._kept.pop(stream, None)

    def trim(self) -> None:
        """Begin a batch: nothing is fresh any more, only aggregates are kept."""
        for stream in self._fresh:
            if not isinstance(self._kept.get(stream), Aggregate):
                self._kept.pop(stream, None)
        self._fresh.clear()
        while len(self._kept) > CAPACITY:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()
        self._fresh.clear()
