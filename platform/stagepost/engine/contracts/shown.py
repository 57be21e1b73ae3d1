"""What `stagepost contracts check` says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stagepost.engine.contracts.judge import Problem
from stagepost.messages import Message


def text_of(problems: Sequence[Problem], new: Sequence[type[Message]] = ()) -> str:
    """Write down what breaks whom; where nothing does, what is `new` and not released."""
    if problems:
        lines = [line for problem in problems for line in _lines(problem)]
        number = len(problems)
        return "\n".join([*lines, f"{number} {'thing breaks' if number == 1 else 'things break'}"])
    names = [f"    {message.TYPE} {message.VERSION}" for message in new]
    head = ["not released yet (stagepost contracts release):"] if new else []
    return "\n".join(["what is released fits", *head, *names])


def _lines(problem: Problem) -> Iterator[str]:
    fault, (senders, readers) = problem.fault, problem.ends
    at = f" {fault.pointer}" if fault.pointer else ""
    who = ", ".join(readers) or "whoever reads it, though nobody here does"
    sent = f" (sent by {', '.join(senders)})" if senders else ""
    yield f"{problem.type} {problem.version}{at}: {fault.rule}: {fault.what}"
    yield f"    breaks {who}: {'; '.join(fault.meets)}{sent}"
    yield f"    ways out: {', or '.join(fault.ways_out)}"
    yield ""
