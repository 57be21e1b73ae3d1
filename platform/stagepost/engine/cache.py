"""Aggregates in memory between batches; the store's version checks make a stale one harmless."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from stagepost.aggregate import Aggregate

CAPACITY = 5_000
"""Aggregates kept at most, the least recently used go first."""


class Cache(Mapping[UUID, Aggregate | None]):
    """Aggregates by stream; None where the store was asked and had none."""

    def __init__(self) -> None:
        self._kept: OrderedDict[UUID, Aggregate | None] = OrderedDict()
        self._fresh: set[UUID] = set()

    def __getitem__(self, stream: UUID) -> Aggregate | None:
        return self._kept[stream]

    def __iter__(self) -> Iterator[UUID]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, stream: object) -> bool:
        return stream in self._kept

    def add(self, loaded: Mapping[UUID, Aggregate | None]) -> None:
        """Take what was just loaded: it is fresh until the batch ends."""
        self._kept.update(loaded)
        self._fresh.update(loaded)

    def keep(self, touched: Mapping[UUID, Aggregate | None]) -> None:
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
        """End a batch: nothing is fresh any more, absences are not kept."""
        for stream in self._fresh:
            if self._kept.get(stream, _PRESENT) is None:
                del self._kept[stream]
        self._fresh.clear()
        while len(self._kept) > CAPACITY:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()
        self._fresh.clear()


_PRESENT = object()
