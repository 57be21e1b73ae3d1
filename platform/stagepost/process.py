"""Processes that last: one pure function, `react(state, message) -> Reaction`.

A process manager listens to what happens, decides what is to be done next, and says so in
commands. Its decision is recorded as an event in its own stream, together with the inbox entry,
the outgoing messages and the timers, in one transaction: no later release decides the past again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id
from stagepost.messages import Event, Message, Timer

S = TypeVar("S", bound="State")


class State(BaseModel):
    """Where a process stands: frozen, and holding only what is true there."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Reaction(Generic[S]):
    """Where the process goes, and what it sends; a timer among the messages is set, not sent."""

    state: S
    sends: tuple[Message, ...] = ()
    heeded: bool = True


def move(state: S, *sends: Message) -> Reaction[S]:
    """Go on to another state, sending these messages."""
    return Reaction(state, sends)


def stay(state: S, *sends: Message) -> Reaction[S]:
    """Send these messages and stay."""
    return Reaction(state, sends)


def ignore(state: S) -> Reaction[S]:
    """Nothing to do: late, repeated or no longer of interest. The inbox says so."""
    return Reaction(state, heeded=False)


@dataclass(frozen=True)
class Process(Generic[S]):
    """A process manager: what starts it, what it listens to, how it reacts and where it ends.

    `due` is the timer that is its service level: what is not done when it fires is overdue.
    Timers of a process are cleared when it reaches one of the `done` states.
    """

    name: str
    initial: S
    react: Callable[[S, Message], Reaction[S]]
    starts_on: type[Event]
    listens_to: tuple[type[Message], ...]
    states: tuple[type[S], ...]
    done: tuple[type[S], ...]
    due: type[Timer]
    _by_name: Mapping[str, type[S]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {state.__name__: state for state in self.states})

    def stream(self, key: str) -> str:
        """Return the name of the stream in which this process's reactions for `key` are kept."""
        return Instance.stream(self.name, key)

    def state_of(self, instance: Instance | None) -> S:
        """Return where a recorded instance stands; `initial` where there is none yet."""
        if instance is None:
            return self.initial
        return self._by_name[instance.state].model_validate(instance.data)

    def is_done(self, state: State) -> bool:
        return isinstance(state, self.done)


class Heard(BaseModel):
    """The message that a process reacted to, as it was on the wire."""

    model_config = ConfigDict(frozen=True)
    type: str
    version: int
    body: dict[str, Any]


class Sent(BaseModel):
    """A message that a process sent; `delay` (seconds) where it is a timer."""

    model_config = ConfigDict(frozen=True)
    type: str
    delay: float | None = None


class Instance(Aggregate):
    """One recorded run of a process: the reactions to what it heard, in order."""

    TOPIC = "stagepost.Instance"

    class Started(FirstEvent):
        """The process heard what it starts on."""

        TOPIC = "stagepost.Instance.Started"
        process: str
        key: str
        heard: Heard
        state: str
        data: dict[str, Any]
        sent: tuple[Sent, ...]

    class Reacted(DomainEvent):
        """The process heard one message more."""

        TOPIC = "stagepost.Instance.Reacted"
        heard: Heard
        state: str
        data: dict[str, Any]
        sent: tuple[Sent, ...]

        def apply(self, aggregate: Instance) -> None:
            aggregate.state = self.state
            aggregate.data = self.data

    @staticmethod
    def stream(process: str, key: str) -> str:
        return f"{process}/{key}"

    @staticmethod
    def create_id(process: str, key: str) -> Any:
        return stream_id(Instance.stream(process, key))

    @event(Started)
    def __init__(
        self,
        *,
        process: str,
        key: str,
        heard: Heard,
        state: str,
        data: dict[str, Any],
        sent: tuple[Sent, ...],
    ) -> None:
        self.process = process
        self.key = key
        self.state = state
        self.data = data

    def react(
        self, *, heard: Heard, state: str, data: dict[str, Any], sent: tuple[Sent, ...]
    ) -> None:
        self.trigger_event(self.Reacted, heard=heard, state=state, data=data, sent=sent)
