"""What a link shall be: decided by who needs it and owns the outcome, not by what carries it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from stagepost.engine.link_file import Decided, LinkKind
from stagepost.engine.links import Link
from stagepost.engine.transport_names import HTTP

NAMED = {"command": "a command", "event": "an event", "answer": "an answer"}


@dataclass(frozen=True)
class Said:
    """What a person says of a link: does its sender need it to happen, who owns the outcome.

    A reader that `is_reused` is there for many senders.
    """

    sender: str
    reader: str
    cares: bool
    owner: str
    is_reused: bool

    @property
    def kind(self) -> LinkKind:
        """What follows: who needs it commands it; who is for many must not know each of them."""
        must = self.cares or self.owner == self.sender or self.is_reused
        return "command" if must else "event"

    @property
    def doubt(self) -> str | None:
        """What does not go together."""
        if self.owner == self.sender and not self.cares:
            return f"who owns the outcome has to see to it: {self.sender} needs it, after all"
        if self.owner == self.reader and self.kind == "command":
            return (
                f"who commands owns the outcome: {self.sender} now, not {self.reader};"
                f" or a third owns it, and commands {self.reader}"
            )
        return None

    @property
    def way(self) -> tuple[str, str]:
        """What is to be asked about the way, and what it means if the answer is yes."""
        if self.kind == "command":
            return "Does somebody wait for its answer?", "somebody waits for the answer"
        return f"Is {self.reader} out of every broker's reach?", f"no broker reaches {self.reader}"


def derive(said: Said, on: date, broker: str, *, is_straight: bool) -> Decided:
    """Derive what a link is from what was said; over HTTP where it goes straight, else a broker."""
    needs = "needs it to happen" if said.cares else "does not need it to happen"
    reasons = [
        f"{said.sender} {needs}",
        f"{said.owner} owns the outcome",
        *([f"{said.reader} is for many"] if said.is_reused else []),
        *([said.way[1]] if is_straight else []),
    ]
    return Decided(
        kind=said.kind,
        outcome=said.sender if said.kind == "command" else said.reader,
        transport=HTTP if is_straight else broker,
        because="; ".join(reasons),
        on=on,
    )


def answers(reader: str, on: date) -> Decided:
    """Decide that a link answers commands of its reader: it comes the way that they went."""
    return Decided(kind="answer", outcome=reader, because=f"{reader} commands it", on=on)


def contradiction(decided: Decided, links: Sequence[Link]) -> str | None:
    """Return what the code does on a link instead of what was decided; answers may go there too."""
    for link in links:
        if link.kind not in (decided.kind, "answer"):
            return f"the code sends {link.message.__name__} there as {NAMED[link.kind]}"
    if decided.kind not in {link.kind for link in links}:
        return f"the code sends no {decided.kind} there"
    return None
