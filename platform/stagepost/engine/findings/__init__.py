"""Findings: where a system does not do what it argues for. Each rule looks at values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stagepost.engine.findings.commands import (
    commands_in_disguise,
    without_one_recipient,
    without_refusal,
)
from stagepost.engine.findings.events import (
    cycles_of_subscriptions,
    ownerless_chains,
    unread,
    unsent,
)
from stagepost.engine.findings.places import (
    decisions_contradicted,
    reaches_into_another,
    steps_without_deadline,
)
from stagepost.engine.findings.values import Finding, Level, Rule, System

RULES: Mapping[str, Rule] = {
    "command in disguise": commands_in_disguise,
    "event chain without an owner": ownerless_chains,
    "command without one recipient": without_one_recipient,
    "command that cannot be refused": without_refusal,
    "step without a deadline": steps_without_deadline,
    "message that nobody sends": unsent,
    "cycle of subscriptions": cycles_of_subscriptions,
    "reach into another service": reaches_into_another,
    "decision contradicted": decisions_contradicted,
    "event that nobody reads": unread,
}


@dataclass(frozen=True)
class Judged:
    """A finding, by which rule, and why it was accepted where it was."""

    rule: str
    finding: Finding
    accepted: str | None

    @property
    def is_open(self) -> bool:
        """Whether something must be done about it: not about hints and notes."""
        return self.finding.level is Level.FINDING and self.accepted is None


def check(system: System) -> list[Judged]:
    """Return all that the rules find, rule by rule."""
    return [
        Judged(name, finding, _accepted(system, finding))
        for name, rule in RULES.items()
        for finding in rule(system)
    ]


def _accepted(system: System, finding: Finding) -> str | None:
    reasons = [system.accepts(link) for link in sorted(finding.links)]
    return "; ".join(filter(None, reasons)) or None
