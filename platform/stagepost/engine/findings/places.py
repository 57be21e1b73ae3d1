"""Rules about steps without a deadline, about what is another's, and about what was decided."""

from __future__ import annotations

from collections.abc import Iterator

from stagepost.engine.findings.values import Finding, System
from stagepost.engine.link_decided import NAMED, contradiction
from stagepost.explore import examples_of, without_deadline


def steps_without_deadline(system: System) -> Iterator[Finding]:
    """States in which a process can wait for ever, found by running it."""
    for service in system.services.values():
        for process in service.processes:
            for state in without_deadline(process, examples_of(process)):
                yield Finding(
                    place=f"{service.name}: {process.name} in {state.__name__}",
                    what="it can wait here for ever: no timer is still to come",
                    way_out="send a Timer on the way there, and say what is done when it fires",
                )


def reaches_into_another(system: System) -> Iterator[Finding]:
    """Services that use another's code or database: the two cannot be changed alone."""
    for reach in system.reaches:
        yield Finding(
            place=f"{reach.file}:{reach.line}",
            what=f"{reach.service} {reach.how}",
            way_out=f"ask {reach.other} over HTTP, listen to its events or command it: what both"
            " need stands in the contracts",
        )


def decisions_contradicted(system: System) -> Iterator[Finding]:
    """Links on which the code does something else than what was decided."""
    for name, record in system.records.items():
        decided = record.decided
        if decided is None or name in system.elsewhere:
            continue
        links = [link for link in system.links if link.name == name]
        if what := contradiction(decided, links):
            yield Finding(
                place=name,
                what=f"{NAMED[decided.kind]} by a decision of {decided.on}, and {what}",
                way_out="change the code, or decide anew: stagepost links decide",
                links=frozenset({name}),
            )
