"""Who does what in a flow: a fault can only fall where there is something to hit."""

from __future__ import annotations

from collections.abc import Callable

from stagepost.engine.flow import Flow
from stagepost.engine.transport_names import NATS

Needs = Callable[[Flow], bool]

WAY = ("ordering", "fulfillment", "payments", "inventory", "shipping")
"""The services by when an order first comes to them."""


def anything(_: Flow) -> bool:
    """Fall on whatever runs."""
    return True


def runs(*services: str) -> Needs:
    """Need these services."""
    return lambda flow: set(services) <= flow.services.keys()


def talkers(flow: Flow) -> dict[str, str]:
    """Return who tells others anything over the broker, each with a subject that somebody reads."""
    subjects: dict[str, str] = {}
    for link in flow.links.between(flow.services):
        owner, _, word = link.message.TYPE.partition(".")
        what = f"command.{owner}.{word}" if link.kind == "command" else f"event.{word}"
        if link.transport == NATS:
            subjects.setdefault(link.sender, f"{link.sender}.{what}")
    return subjects


def carriers(flow: Flow) -> list[str]:
    """Return who tells others something over the broker as long as orders come."""
    return [name for name in talkers(flow) if name in WAY]


def hearers(flow: Flow) -> set[str]:
    """Return who reads anything over the broker."""
    every = flow.links.between(flow.services)
    return {link.reader for link in every if link.transport == NATS}


def timekeepers(flow: Flow) -> set[str]:
    """Return who minds the time."""
    return {name for name, service in flow.services.items() if service.processes}


def asks_over_the_broker(flow: Flow) -> bool:
    """Tell whether answers to commands come over the broker."""
    every = flow.links.between(flow.services)
    return any(link.kind == "answer" and link.transport == NATS for link in every)
