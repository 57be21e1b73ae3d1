"""The memory store's leases, and who waits for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stagepost.engine.batch import Lease
from stagepost.engine.clock import Clock
from stagepost.engine.store import Leadership
from stagepost.errors import Fenced


class MemoryLeases:
    """The part of the `Store` port that is about leases."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leases: dict[str, tuple[Lease, datetime]] = {}
        self._waiting: dict[tuple[str, str], datetime] = {}

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        now = self._clock.now()
        held, expires_at = self._leases.get(name, (Lease(name, holder, 0), now))
        until = now + timedelta(seconds=seconds)
        if held.holder != holder and now <= expires_at <= until:
            self._waiting[name, holder] = until
            return None
        await self.stop_waiting(name, holder)
        lease = Lease(name, holder, held.epoch + 1)
        self._leases[name] = (lease, until)
        return lease

    async def renew_lease(self, lease: Lease, seconds: float) -> bool:
        until = self._clock.now() + timedelta(seconds=seconds)
        if not self._is_newest(lease) or self._leases[lease.name][1] > until:
            return False
        self._leases[lease.name] = (lease, until)
        return True

    async def drop_lease(self, lease: Lease) -> None:
        if self._is_newest(lease):
            self._leases[lease.name] = (lease, datetime.min.replace(tzinfo=UTC))

    async def stop_waiting(self, name: str, holder: str) -> None:
        self._waiting.pop((name, holder), None)

    async def leadership(self, name: str) -> Leadership:
        if name not in self._leases:
            return Leadership()
        now = self._clock.now()
        waiting = tuple(sorted(h for (n, h), t in self._waiting.items() if n == name and t > now))
        lease, expires_at = self._leases[name]
        left = (expires_at - now).total_seconds()
        return Leadership(lease.holder if left > 0 else None, lease.epoch, max(left, 0.0), waiting)

    def _refuse_older(self, lease: Lease) -> None:
        if not self._is_newest(lease):
            raise Fenced(f"the lease {lease.name} has passed on from epoch {lease.epoch}")

    def _is_newest(self, lease: Lease) -> bool:
        return lease.name in self._leases and self._leases[lease.name][0].epoch == lease.epoch
