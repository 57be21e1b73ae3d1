"""What many runs came to, and whether they were worth their name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.plan import Blow, Fault
from tests.simulation.run import Result

SEEDS_FOR_ALL = 150
"""From so many seeds on every kind of fault must have struck, and orders have ended both ways."""

KINDS = (*Fault, *Blow, "message breaks its handler", "commit refused by its database")


@dataclass
class Summary:
    """Figures over all runs."""

    seeds: int = 0
    failed: list[str] = field(default_factory=list)
    fired: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    virtual_seconds: float = 0.0

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.fired += result.fired
        self.hit += result.hit
        self.ends += result.ends
        self.calls += result.calls
        self.virtual_seconds += result.rest_at
        if result.broken:
            self.failed.append(result.plan.seed)

    def never_fired(self) -> list[str]:
        """Return what should have happened in so many runs, and never did."""
        if self.seeds < SEEDS_FOR_ALL:
            return []
        seen = self.fired.keys() | self.ends.keys()
        return [kind for kind in (*KINDS, "OrderConfirmed", "OrderRejected") if kind not in seen]

    def figures(self) -> dict[str, Any]:
        return {
            "seeds": self.seeds,
            "failed": self.failed,
            "never_fired": self.never_fired(),
            "orders": dict(self.ends),
            "faults": {str(kind): self.fired[kind] for kind in KINDS},
            "struck_calls": dict(self.hit.most_common()),
            "calls": self.calls,
            "virtual_seconds": round(self.virtual_seconds),
        }

    def described(self) -> str:
        ends = ", ".join(f"{number:,} {end}" for end, number in sorted(self.ends.items()))
        faults = "\n".join(f"{self.fired[kind]:8,}  {kind}" for kind in KINDS)
        lines = [
            f"{self.calls:,} I/O calls, {self.virtual_seconds / 3600:,.1f} virtual hours; {ends}",
            "faults that fired:",
            faults,
            f"{self.seeds - len(self.failed):,} of {self.seeds:,} seeds keep every promise",
            *(f"never fired: {kind}" for kind in self.never_fired()),
        ]
        return "\n".join(lines)
