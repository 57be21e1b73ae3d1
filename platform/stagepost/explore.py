"""Walk every path that a process can take, by running it; draw what was walked."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from stagepost.messages import Answer, Command, Event, Message, Timer, example
from stagepost.process import Process, Reaction, State

Asked: TypeAlias = frozenset[type[Command]]
"""Commands that were sent and are not answered."""

Timers: TypeAlias = frozenset[type[Timer]]
"""Timers that were set and are still to come."""


class Arrow(NamedTuple):
    """One step: where the process stood, what it heard, and how it reacted."""

    source: State
    message: Message
    reaction: Reaction[Any]


def examples_of(process: Process[Any]) -> tuple[Message, ...]:
    """Return one example of everything that a process hears, made from the contracts."""
    return tuple(example(heard) for heard in (process.starts_on, *process.listens_to))


def walk(process: Process[Any], examples: Iterable[Message]) -> Iterator[Arrow]:
    """Offer every example in every state that can be reached, breadth first."""
    samples = tuple(examples)
    seen, waiting = {process.initial}, deque([process.initial])
    while waiting:
        state = waiting.popleft()
        for message in samples:
            reaction = process.react(state, message)
            yield Arrow(state, message, reaction)
            if reaction.state not in seen:
                seen.add(reaction.state)
                waiting.append(reaction.state)


def mermaid(process: Process[Any], examples: Iterable[Message]) -> str:
    """Draw a process as a Mermaid state diagram.

    Messages that lead to the same state and send the same share an arrow. What a process sends
    while it stays where it is stands in comments below the picture.
    """
    moves: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    stays: dict[str, dict[str, None]] = defaultdict(dict)
    for source, message, reaction in walk(process, examples):
        sends = f" / {', '.join(map(_name, reaction.sends))}" if reaction.sends else ""
        if reaction.state != source:
            moves[_name(source), _name(reaction.state), sends][_name(message)] = None
        elif sends:
            stays[_name(message) + sends][_name(source)] = None
    return "\n".join(
        [
            "stateDiagram-v2",
            f"    [*] --> {_name(process.initial)}",
            *(f"    {a} --> {b}: {' or '.join(h)}{sends}" for (a, b, sends), h in moves.items()),
            *(f"    {end.__name__} --> [*]" for end in process.done),
            *(f"    %% {label} in {', '.join(states)}" for label, states in stays.items()),
        ]
    )


def waits_for(process: Process[Any], state: State, examples: Iterable[Message]) -> list[str]:
    """Return the types of the messages that a state waits for: answers that move it on.

    Not what may also happen to it: a timer, a person, an event that nobody asked for.
    """
    samples = tuple(examples)
    asked = _asked(process, samples).get(type(state), frozenset())
    return [arrow.message.TYPE for arrow in _answered(process, state, asked, samples)]


def remaining(process: Process[Any], state: State, examples: Iterable[Message]) -> list[str]:
    """Return the types of the messages on the shortest way to an end, if nobody refuses."""
    samples = tuple(examples)
    willing = [message for message in samples if not getattr(message, "REFUSES", False)]
    start = state, _asked(process, samples).get(type(state), frozenset())
    seen, waiting = {start}, deque([(start, list[str]())])
    while waiting:
        (here, asked), steps = waiting.popleft()
        if process.is_done(here):
            return steps
        for arrow in _answered(process, here, asked, willing):
            there = arrow.reaction.state, _still_asked(asked, arrow)
            if there not in seen:
                seen.add(there)
                waiting.append((there, [*steps, arrow.message.TYPE]))
    return []


def without_deadline(process: Process[Any], examples: Iterable[Message]) -> list[type[State]]:
    """Return the kinds of states in which a process can wait for ever: with no timer to come.

    Once the service level is past and an event has told so, the process is known to be late and is
    not looked at.
    """
    samples = tuple(examples)
    clocks: Timers = frozenset(type(sample) for sample in samples if isinstance(sample, Timer))
    start: tuple[State, Timers] = process.initial, frozenset()
    seen, waiting, found = {start}, deque([start]), dict[type[State], None]()
    while waiting:
        state, timers = waiting.popleft()
        if state != process.initial and not process.is_done(state) and not timers:
            found[type(state)] = None
        for message in samples:
            if isinstance(message, Timer) and type(message) not in timers:
                continue
            arrow = Arrow(state, message, process.react(state, message))
            set_now = clocks & {type(send) for send in arrow.reaction.sends}
            there = arrow.reaction.state, timers - {type(message)} | set_now
            if there not in seen and not _tells_that_it_is_late(process, arrow):
                seen.add(there)
                waiting.append(there)
    return list(found)


def _tells_that_it_is_late(process: Process[Any], arrow: Arrow) -> bool:
    is_due = isinstance(arrow.message, process.due)
    return is_due and any(isinstance(send, Event) for send in arrow.reaction.sends)


def _asked(process: Process[Any], samples: Sequence[Message]) -> dict[type[State], Asked]:
    """Find which commands can be unanswered in each kind of state, whatever led there."""
    found: dict[type[State], Asked] = defaultdict(frozenset)
    start: tuple[State, Asked] = process.initial, frozenset()
    seen, waiting = {start}, deque([start])
    while waiting:
        state, asked = waiting.popleft()
        found[type(state)] |= asked
        for message in samples:
            arrow = Arrow(state, message, process.react(state, message))
            there = arrow.reaction.state, _still_asked(asked, arrow)
            if there not in seen:
                seen.add(there)
                waiting.append(there)
    return found


def _still_asked(asked: Asked, arrow: Arrow) -> Asked:
    answered = {arrow.message.TO} if isinstance(arrow.message, Answer) else set[type[Command]]()
    sent = {type(send) for send in arrow.reaction.sends if isinstance(send, Command)}
    return asked - answered | sent


def _answered(
    process: Process[Any], state: State, asked: Asked, samples: Iterable[Message]
) -> Iterator[Arrow]:
    """Offer a state what was asked for, or what the process starts on; yield where it moves."""
    for message in samples:
        expected = isinstance(message, Answer) and message.TO in asked
        if expected or isinstance(message, process.starts_on):
            reaction = process.react(state, message)
            if reaction.state != state:
                yield Arrow(state, message, reaction)


def _name(thing: object) -> str:
    return type(thing).__name__
