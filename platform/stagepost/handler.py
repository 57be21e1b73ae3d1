"""What a service does about one message: a pure function from state and message to a decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel

from stagepost.aggregate import Aggregate
from stagepost.messages import Message

A = TypeVar("A", bound=Aggregate)


class Load(Protocol):
    """How a handler asks for aggregates: all that it needs, before it changes the first.

    A handler may be run again when something it asked for had to be fetched.
    """

    def one(self, cls: type[A], stream: str) -> A | None:
        """Return the aggregate of a stream such as `order/10248`, None where there is none."""
        ...

    def many(self, cls: type[A], streams: Iterable[str]) -> list[A | None]:
        """Return several aggregates in the order asked for, fetched in one round trip."""
        ...


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be stored, all of it or nothing: aggregates with new events, messages to send.

    `answer` goes back to whoever asked over HTTP. An empty decision is recorded as ignored.
    """

    changed: tuple[Aggregate, ...] = ()
    sends: tuple[Message, ...] = ()
    answer: BaseModel | None = None


Handler: TypeAlias = Callable[[Any, Load], Decision]
"""`(message, load) -> Decision`. Raises `Refused` to refuse a request over HTTP."""
