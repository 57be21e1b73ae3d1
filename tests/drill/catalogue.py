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

SHORT, FOR_LONG_ONES = 7.0, 0.2
"""A fault that takes more seconds is a long one, and how much of the time long ones get."""


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
    """Return as many of these, each once, in seeded order, as a short drill has time for.

    Few of them are long ones: the time is for many different ones.
    """
    order = Random(seed).sample(list(faults), len(faults))
    plan = _that_fit([fault for fault in order if fault.seconds > SHORT], SECONDS * FOR_LONG_ONES)
    room = SECONDS - sum(fault.seconds for fault in plan)
    plan += _that_fit([fault for fault in order if fault.seconds <= SHORT], room)
    Random(seed).shuffle(plan)
    return sorted(plan, key=_instances)


def _that_fit(faults: Sequence[Fault], seconds: float) -> list[Fault]:
    taken: list[Fault] = []
    for fault in faults:
        if fault.seconds <= seconds:
            taken.append(fault)
            seconds -= fault.seconds
    return taken


def long_schedule(seed: int, faults: Sequence[Fault] = CATALOGUE) -> list[Fault]:
    """Return each of these again and again, every round in a seeded order of its own."""
    dice = Random(seed)
    plan: list[Fault] = []
    while len(plan) < INJECTIONS:
        plan += sorted(dice.sample(list(faults), len(faults)), key=_instances)
    return plan[:INJECTIONS]


def _instances(fault: Fault) -> int:
    """Second instances are started once, for all faults that want them: at the beginning."""
    return -fault.instances
