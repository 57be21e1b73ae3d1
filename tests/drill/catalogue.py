"""Every fault there is, and the seeded schedule by which they are done.

A new fault goes into `FAULTS` of a module faults_*.py; a new module goes into `MODULES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from tests.drill import (
    faults_broker,
    faults_database,
    faults_host,
    faults_http,
    faults_instances,
    faults_messages,
    faults_outside,
    faults_points,
    faults_processes,
    faults_setback,
)
from tests.drill.fault import Fault

MODULES = (
    faults_processes,
    faults_points,
    faults_database,
    faults_broker,
    faults_setback,
    faults_instances,
    faults_messages,
    faults_outside,
    faults_http,
    faults_host,
)
CATALOGUE: tuple[Fault, ...] = tuple(fault for module in MODULES for fault in module.FAULTS)

INJECTIONS = 300
"""How many a long drill does."""

SECONDS = 195.0
"""How long the injections of a short drill take together, by what each is expected to take."""


def named(words: Iterable[str]) -> tuple[Fault, ...]:
    """Return the faults whose names contain one of these, as they stand in the catalogue.

    Raises:
        ValueError: none does.
    """
    asked = tuple(words)
    found = tuple(fault for fault in CATALOGUE if any(word in fault.name for word in asked))
    if not found:
        names = ", ".join(fault.name for fault in CATALOGUE)
        raise ValueError(f"no fault is called {', '.join(asked)!r}; there are: {names}")
    return found


def schedule(seed: int, faults: Sequence[Fault] = CATALOGUE) -> list[Fault]:
    """Return as many of these, each once, in seeded order, as a short drill has time for."""
    order = list(faults)
    Random(seed).shuffle(order)
    plan: list[Fault] = []
    for fault in order:
        if sum(planned.seconds for planned in plan) + fault.seconds <= SECONDS:
            plan.append(fault)
    return sorted(plan, key=_instances)


def long_schedule(seed: int, faults: Sequence[Fault] = CATALOGUE) -> list[Fault]:
    """Return each of these again and again, every round in a seeded order of its own."""
    dice = Random(seed)
    plan: list[Fault] = []
    while len(plan) < INJECTIONS:
        plan += sorted(dice.sample(list(faults), len(faults)), key=_instances)
    return plan[:INJECTIONS]


def _instances(fault: Fault) -> int:
    """Second instances are started once, for all faults that want them."""
    return fault.instances
