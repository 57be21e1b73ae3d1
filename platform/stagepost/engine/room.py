"""Whether a service has room for new work: measured now and then, not for each request.

What was accepted is kept whatever comes, so there must be room for all that follows from it:
messages, answers, compensations. So it is new requests that are turned away, and while there is
still room for the rest.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from stagepost.engine.store import Store

LOOK_SECONDS = 2.0
"""How old a measurement is at most."""


@dataclass(frozen=True, slots=True)
class Room:
    """What must be free for new work.

    At most `backlog` messages may wait for a relay, and where the folder of the data is known,
    its `disk` must have `floor` bytes free.
    """

    backlog: int = 100_000
    disk: Path | None = None
    floor: int = 256 << 20

    async def lacking(self, store: Store, relays: Collection[str]) -> str | None:
        """Say what there is too little of; None where there is room.

        `relays` are the names under which this service's relays read its outbox.

        Raises:
            StoreUnavailable
        """
        if self.disk is not None and (free := _free(self.disk)) < self.floor:
            return f"the disk has {free >> 20} MiB left, {self.floor >> 20} are kept for what runs"
        if await store.unpublished(relays, self.backlog + 1) > self.backlog:
            return f"more than {self.backlog:,} messages wait for the broker"
        return None


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
