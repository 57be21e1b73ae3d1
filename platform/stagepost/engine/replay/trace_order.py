"""In which order the messages of a trace were heard, as far as that can be known."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from uuid import UUID

from stagepost.engine.replay.journal import Line
from stagepost.engine.replay.trace import Traced


def in_order(roots: Sequence[Traced]) -> Iterator[tuple[Traced, Line | None]]:
    """Return who heard what, one after the other: a message after its cause, whatever clocks say.

    Of what one service heard, in the order in which it did; what is nowhere heard comes with None,
    as soon as it is sent. Of what could be next, what was sent first is.
    """
    waiting = _by_service(roots)
    sent: dict[UUID, int] = {}
    ready = list(roots)
    while ready or waiting:
        for message in ready:
            sent[message.id] = len(sent)
            if not message.heard:
                yield message, None
        if unheard := [effect for m in ready if not m.heard for effect in m.effects]:
            ready = unheard
            continue
        if not waiting:
            return
        message, line = _next(waiting, sent)
        yield message, line
        ready = [effect for effect in message.effects if effect.service == line.service]


def _by_service(roots: Sequence[Traced]) -> dict[str, deque[tuple[Traced, Line]]]:
    found = [(message, line) for message in every(roots) for line in message.heard]
    queues: dict[str, deque[tuple[Traced, Line]]] = {}
    for message, line in sorted(found, key=lambda pair: pair[1].position):
        queues.setdefault(line.service, deque()).append((message, line))
    return queues


def _next(
    waiting: dict[str, deque[tuple[Traced, Line]]], sent: dict[UUID, int]
) -> tuple[Traced, Line]:
    """Take the next off its queue; a dead letter may stand before what it waited for."""
    service = min(waiting, key=lambda name: sent.get(waiting[name][0][0].id, len(sent)))
    taken = waiting[service].popleft()
    if not waiting[service]:
        del waiting[service]
    return taken


def every(roots: Sequence[Traced]) -> Iterator[Traced]:
    """Return all messages of a trace, each before what it caused."""
    stack = list(reversed(roots))
    while stack:
        message = stack.pop()
        yield message
        stack.extend(reversed(message.effects))
