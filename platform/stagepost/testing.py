"""Given what has happened, when one message comes, then this is sent: the language of the tests.

`given(process, *history)` for a process manager, `given(HANDLERS, *history)` for the handlers of
a service; the history is made of messages too, so that a test tells a story and knows no fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel

from stagepost.aggregate import Aggregate, DomainEvent, from_stored, stream_id, to_stored
from stagepost.handler import Decision, Handler
from stagepost.messages import Message
from stagepost.process import Process, State

A = TypeVar("A", bound=Aggregate)
S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class Then:
    """What came of a message."""

    sent: tuple[Message, ...]

    def then(self, *expected: Message) -> None:
        assert self.sent == expected

    def then_nothing(self) -> None:
        self.then()


@dataclass(frozen=True)
class ThenState(Then, Generic[S]):
    """What a process sent, and where it went."""

    state: S


@dataclass(frozen=True)
class ThenDecision(Then):
    """What a handler sent, the events that it added, and what it answered over HTTP."""

    happened: tuple[DomainEvent, ...]
    answer: BaseModel | None

    @property
    def topics(self) -> list[str]:
        """The names of the events that it added."""
        return [happened.TOPIC for happened in self.happened]

    def then_only_says(self, *expected: Message) -> None:
        """Nothing happened: what was decided before is said again."""
        assert self.happened == ()
        self.then(*expected)

    def then_nothing(self) -> None:
        self.then_only_says()


@dataclass(frozen=True)
class GivenProcess(Generic[S]):
    """A process that has heard its history."""

    process: Process[S]
    state: S

    def when(self, message: Message) -> ThenState[S]:
        reaction = self.process.react(self.state, message)
        return ThenState(reaction.sends, reaction.state)


@dataclass
class GivenHandlers:
    """A service's handlers with the events that they have decided so far, as they are stored."""

    handlers: Mapping[type[Message], Handler]
    streams: dict[Any, list[DomainEvent]] = field(default_factory=dict)

    def when(self, message: Message) -> ThenDecision:
        decision = self.handlers[type(message)](message, self)
        happened = tuple(self._keep(decision))
        return ThenDecision(decision.sends, happened, decision.answer)

    def one(self, cls: type[A], stream: str) -> A | None:
        """Load an aggregate as an engine would: from what is stored, and nothing else."""
        found: Any = None
        for happened in self.streams.get(stream_id(stream), ()):
            found = from_stored(to_stored(happened)).mutate(found)
        assert found is None or isinstance(found, cls)
        return found

    def many(self, cls: type[A], streams: Iterable[str]) -> list[A | None]:
        return [self.one(cls, stream) for stream in streams]

    def _keep(self, decision: Decision) -> Iterable[DomainEvent]:
        for aggregate in decision.changed:
            for happened in aggregate.collect_events():
                assert isinstance(happened, DomainEvent)
                stored = self.streams.setdefault(happened.originator_id, [])
                assert happened.originator_version == len(stored) + 1
                stored.append(happened)
                yield happened


@overload
def given(subject: Process[S], *history: Message) -> GivenProcess[S]: ...
@overload
def given(subject: Mapping[type[Message], Handler], *history: Message) -> GivenHandlers: ...
def given(
    subject: Process[S] | Mapping[type[Message], Handler], *history: Message
) -> GivenProcess[S] | GivenHandlers:
    """Begin a story with what has happened before."""
    if isinstance(subject, Process):
        past = reduce(
            lambda state, heard: subject.react(state, heard).state, history, subject.initial
        )
        return GivenProcess(subject, past)
    service = GivenHandlers(subject)
    for message in history:
        service.when(message)
    return service
