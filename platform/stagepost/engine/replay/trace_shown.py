"""How a trace looks: as a tree, as a sequence diagram for Mermaid, as objects for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stagepost.engine.replay.journal import Line
from stagepost.engine.replay.trace import Traced
from stagepost.engine.replay.trace_order import in_order
from stagepost.messages import Kind

CLIENT = "client"
"""Whoever asked over HTTP."""
_ASKS = {Kind.COMMAND, Kind.CALL, Kind.REQUEST}


def tree(roots: Sequence[Traced]) -> Iterator[str]:
    """Return the lines of a tree in which what a message caused stands under it."""
    stack = [(root, "", "") for root in reversed(roots)]
    while stack:
        message, first, rest = stack.pop()
        yield f"{first}{_said(message)}"
        last = len(message.effects) - 1
        below = [
            (effect, f"{rest}└─ ", f"{rest}   ")
            if number == last
            else (effect, f"{rest}├─ ", f"{rest}│  ")
            for number, effect in enumerate(message.effects)
        ]
        stack.extend(reversed(below))


def _said(message: Traced) -> str:
    line = message.line
    whom = ", ".join(map(_hearer, message.heard)) or line.peer or "nobody"
    at = f"{line.recorded_at:%H:%M:%S.%f}"[:-3]
    return f"{line.type}  {line.kind}, {_sender(message)} to {whom}  {at}"


def _hearer(line: Line) -> str:
    if line.outcome == "handled":
        return line.service
    why = f": {line.detail}" if line.detail else ""
    return f"{line.service} ({line.outcome}{why})"


def _sender(message: Traced) -> str:
    return CLIENT if message.line.kind == Kind.REQUEST else message.sender


def sequence(roots: Sequence[Traced]) -> str:
    """Return a sequence diagram: what asks is solid, what tells is dashed.

    What was heard and ignored is left out.
    """
    arrows = list(_arrows(roots))
    lines = (f"  {arrow}" for _, arrow in arrows)
    who = dict.fromkeys(name for names, _ in arrows for name in names)
    return "\n".join(["sequenceDiagram", *(f"  participant {name}" for name in who), *lines])


def _arrows(roots: Sequence[Traced]) -> Iterator[tuple[tuple[str, ...], str]]:
    for message, heard in in_order(roots):
        name = message.line.type.partition(".")[2]
        sender = _sender(message)
        to = heard.service if heard else message.line.peer
        if to is None:
            yield (sender,), f"Note over {sender}: {name}, which nobody heard"
        elif heard is None or heard.outcome != "ignored":
            how = "->>" if message.line.kind in _ASKS else "-->>"
            refused = f" ({heard.outcome})" if heard and heard.outcome != "handled" else ""
            yield (sender, to), f"{sender}{how}{to}: {name}{refused}"


def object_of(message: Traced) -> dict[str, object]:
    """Return a message as `--json` shows it."""
    line = message.line
    return {
        "id": line.id,
        "cause": line.causation,
        "type": line.type,
        "kind": line.kind,
        "key": line.key,
        "sender": _sender(message),
        "position": message.sent and message.sent.position,
        "recorded_at": line.recorded_at,
        "heard": [
            {
                "service": heard.service,
                "position": heard.position,
                "outcome": heard.outcome,
                "detail": heard.detail,
                "recorded_at": heard.recorded_at,
            }
            for heard in message.heard
        ],
    }
