"""What `stagepost links decide` asks, and says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from rich.prompt import Confirm, Prompt

from stagepost.engine.cli_common import out
from stagepost.engine.findings.read import all_services
from stagepost.engine.flow import read_flow
from stagepost.engine.link_decided import NAMED, Said, answers, contradiction, derive
from stagepost.engine.link_file import FILE, Decided
from stagepost.engine.link_write import write_decision
from stagepost.engine.links import ARROW
from stagepost.engine.transport_names import HTTP, NATS
from stagepost.errors import BadSettings

T = TypeVar("T")


@dataclass(frozen=True)
class Given:
    """What was answered before it is asked; None where it is to be asked."""

    answer: bool | None
    cares: bool | None
    owner: str | None
    reused: bool | None
    straight: bool | None


def decide_link(sender: str, reader: str, style: str, given: Given) -> None:
    """Decide what a link is, write it down, and say so.

    Raises:
        BadSettings: there is no such service, or nobody is there to answer.
    """
    _check_ends(sender, reader, given.owner)
    name, flow = f"{sender}{ARROW}{reader}", read_flow(style)
    broker = NATS if flow.links.default == HTTP else flow.links.default
    decided, doubt = _decided(sender, reader, broker, given)
    found = [link for link in flow.links.between(flow.services) if link.name == name]
    against = contradiction(decided, found)
    over = {link.transport for link in found if link.kind == decided.kind}
    moves = not against and over != {decided.transport}
    write_decision(name, decided, decided.transport if moves else None)
    for line in _told(name, decided, doubt, against):
        out.print(line, soft_wrap=True, markup=False, highlight=False)


def _check_ends(sender: str, reader: str, owner: str | None) -> None:
    services = all_services()
    for name in (sender, reader):
        if name not in services:
            raise BadSettings(f"there is no service {name!r}; there are: {', '.join(services)}")
    if sender == reader:
        raise BadSettings(f"a link is between two services, not from {sender} to itself")
    if owner not in (None, sender, reader):
        raise BadSettings(f"--owner is {sender} or {reader}, not {owner!r}")


def _decided(sender: str, reader: str, broker: str, given: Given) -> tuple[Decided, str | None]:
    """Ask what was not given; return what follows, and what does not go together in it."""
    today = datetime.now().astimezone().date()
    if _yes(f"Does it answer commands of {reader}?", "answer", given=given.answer):
        return answers(reader, today), None
    said = Said(
        sender,
        reader,
        _yes(f"Does {sender} need it to happen?", "cares", given=given.cares),
        given.owner or _owner(sender, reader),
        _yes(f"Is {reader} for many, not for {sender} alone?", "reused", given=given.reused),
    )
    is_straight = _yes(said.way[0], "straight", given=given.straight)
    return derive(said, today, broker, is_straight=is_straight), said.doubt


def _told(name: str, decided: Decided, doubt: str | None, against: str | None) -> Iterator[str]:
    over = f" over {decided.transport}" if decided.transport else ""
    yield f"{name}: {NAMED[decided.kind]}{over}; {decided.outcome} owns the outcome"
    yield f"  because {decided.because}"
    if doubt:
        yield f"  but {doubt}"
    if against:
        yield f"  the code contradicts it: {against}"
    yield f"written to {FILE}"


def _yes(question: str, option: str, *, given: bool | None) -> bool:
    if given is not None:
        return given
    return _asked(lambda: Confirm.ask(question, console=out), f"--{option} or --no-{option}")


def _owner(sender: str, reader: str) -> str:
    def ask() -> str:
        return Prompt.ask("Who owns the outcome?", choices=[sender, reader], console=out)

    return _asked(ask, f"--owner {sender} or --owner {reader}")


def _asked(ask: Callable[[], T], options: str) -> T:
    try:
        return ask()
    except EOFError:
        raise BadSettings(f"nobody is here to answer: say {options}") from None
