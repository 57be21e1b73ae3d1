"""Rules about what is asked: commands in disguise, without one recipient, without a refusal."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from stagepost.engine.findings.values import Finding, Level, System
from stagepost.engine.links import ARROW, Link
from stagepost.messages import Answer, Command

ASKING = frozenset({"Must", "Needed", "Needs", "Requested", "Required", "Should", "Wanted"})
"""Words in the name of an event that tell of a wish, not of a fact."""


def commands_in_disguise(system: System) -> Iterator[Finding]:
    """Events that one service must act on, for the sender waits for what it answers.

    Where two services tell each other what nobody else hears, one asks and the other answers:
    who tells of a wish, else who comes first.
    """
    alone = [link for link in system.subscriptions if _is_for_one(system, link)]
    asking = [link for link in alone if not issubclass(link.message, Answer)]
    waiting = {link: _answered(system, link, alone) for link in asking}
    rank = {link: (not _is_wish(link), place) for place, link in enumerate(asking)}
    for link, answers in waiting.items():
        rivals = [other for other in asking if _goes_back(other, link) and waiting[other]]
        if answers and all(rank[link] < rank[rival] for rival in rivals):
            yield _disguised(link, answers)
        elif not answers and _is_wish(link):
            yield _hint(link)


def _is_for_one(system: System, link: Link) -> bool:
    told = link.sender, link.message
    return not any(
        (other.sender, other.message) == told and other.reader not in (link.reader, link.sender)
        for other in system.links
    )


def _answered(system: System, link: Link, alone: Sequence[Link]) -> list[str]:
    """Return what the reader tells the sender in turn: an answer by name, or to nobody else."""
    back = [other for other in system.subscriptions if _goes_back(other, link)]
    return [b.message.__name__ for b in back if issubclass(b.message, Answer) or b in alone]


def _goes_back(other: Link, link: Link) -> bool:
    return (other.sender, other.reader) == (link.reader, link.sender)


def _is_wish(link: Link) -> bool:
    return not ASKING.isdisjoint(re.findall("[A-Z][a-z]*", link.message.__name__))


def _disguised(link: Link, answers: Sequence[str]) -> Finding:
    told, sender, reader = link.message.__name__, link.sender, link.reader
    what = f"{sender} tells {told} to {reader} alone, and hears {' or '.join(answers)} from it"
    what = f"{what} in turn: one asks, the other answers"
    return Finding(link.name, what, _way_out(link), frozenset({link.name}))


def _hint(link: Link) -> Finding:
    what = f"{link.message.__name__} reads as a wish, and {link.reader} alone hears it"
    return Finding(link.name, what, _way_out(link), frozenset({link.name}), Level.HINT)


def _way_out(link: Link) -> str:
    return f"make it a command of {link.reader}, named for what is to be done, with its answers"


def without_one_recipient(system: System) -> Iterator[Finding]:
    """Commands that nobody takes, or two: a command is for its owner."""
    for command, senders in _commands(system).items():
        takers = [s.name for s in system.services.values() if command in s.reads]
        if takers == [command.OWNER]:
            continue
        who = f"{', '.join(senders)} send{'s' * (len(senders) == 1)} {command.__name__}"
        owner = command.OWNER
        if owner not in takers:
            what = f"{who}, and {owner}, whose command it is, does not take it"
        else:
            others = ", ".join(taker for taker in takers if taker != owner)
            what = f"{who} to {owner}, and {others} would take it too: only its owner ever gets it"
        way_out = f"let {owner} handle it, and nobody else: what several shall hear is an event"
        yield Finding(command.TYPE, what, way_out, _links_to(command, senders, system))


def without_refusal(system: System) -> Iterator[Finding]:
    """Commands that cannot be refused and do not say why, or have no answer at all."""
    for command, senders in _commands(system).items():
        owner = system.services.get(command.OWNER)
        if owner is None or command not in owner.reads:
            continue
        answers = [m for m in owner.sends if issubclass(m, Answer) and _answers(m, command)]
        links = _links_to(command, senders, system)
        if not answers:
            what = f"{owner.name} has no answer to it: {', '.join(senders)} can never know"
            way_out = "declare one: class ...(Answer, to=...), and one that refuses"
            yield Finding(command.TYPE, what, way_out, links)
        elif not command.NEVER_REFUSED and not any(answer.REFUSES for answer in answers):
            names = ", ".join(answer.__name__ for answer in answers)
            what = f"no answer refuses it, only {names}, and nothing says why"
            way_out = "declare a Refusal to it, or say NEVER_REFUSED = 'why' in the command"
            yield Finding(command.TYPE, what, way_out, links)


def _commands(system: System) -> dict[type[Command], list[str]]:
    """Return every command that is sent, and by whom."""
    sent: dict[type[Command], list[str]] = defaultdict(list)
    for service in system.services.values():
        for message in service.sends:
            if issubclass(message, Command):
                sent[message].append(service.name)
    return sent


def _answers(answer: type[Answer], command: type[Command]) -> bool:
    return command in (answer.TO, *answer.ALSO)


def _links_to(command: type[Command], senders: list[str], system: System) -> frozenset[str]:
    there = {link.name for link in system.links}
    return frozenset(f"{sender}{ARROW}{command.OWNER}" for sender in senders) & there
