"""Goods before payment: two steps change places, in both styles."""

from __future__ import annotations

from collections.abc import Callable

from tests.experiments.impact import Impact, compare
from tests.experiments.result import Result

WHY = (
    "In a process the order of steps is the order of its cases: the services that it commands "
    "are asked the same as before, only later or earlier. In a chain each service names what "
    "comes before it, and what may still be refused behind it: so every service beside the "
    "two steps changes."
)


async def run(say: Callable[[str], None]) -> Result:
    """Measure it in both styles."""
    title = "What it costs to fetch the goods before the money is taken"
    return await compare("reorder", title, _verdict, WHY, say)


def _verdict(orchestrated: Impact, choreographed: Impact) -> str:
    one, other = len(orchestrated.diff.services), len(choreographed.diff.services)
    return (
        "Said of it: in a chain three teams must change and coordinate a deployment. It is"
        f" {other} services choreographed, {len(choreographed.together)} of them at once,"
        f" and {one} orchestrated."
    )
