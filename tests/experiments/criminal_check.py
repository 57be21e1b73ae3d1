"""A step that vets the customer before payment, added to both styles."""

from __future__ import annotations

from collections.abc import Callable

from tests.experiments.impact import Impact, compare
from tests.experiments.result import Result

WHY = (
    "A process hears both answers itself: cleared, and flagged. In a chain one service goes "
    "on with the first, and another ends the order with the second: so two services there "
    "before know the new one. Payments, which began with OrderPlaced, now begins with "
    "CustomerCleared, and has to remember what only OrderPlaced tells."
)


async def run(say: Callable[[str], None]) -> Result:
    """Measure it in both styles."""
    title = "What it costs to vet customers before payment"
    return await compare("criminal-check", title, _verdict, WHY, say)


def _verdict(orchestrated: Impact, choreographed: Impact) -> str:
    one, other = len(orchestrated.diff.services), len(choreographed.diff.services)
    found = "the same number here" if one == other else "not the same here"
    return (
        f"Said of it: often the same number of services changes in both styles. It is {found}:"
        f" {one} orchestrated, {other} choreographed, the new one among them."
    )
