"""What `stack.json` says about a stack that runs: where everything is, and how to get in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from stagepost.engine.stack.place import whereabouts

if TYPE_CHECKING:
    from stagepost.engine.stack.stack import Stack


def state_of(stack: Stack) -> dict[str, Any]:
    """Return what an operator needs to reach a stack that this process runs."""
    state = whereabouts(stack) | {"pid": os.getpid()}
    for name in stack.names:
        part = state["services"].get(name) or state[name]
        part["pid"] = stack.pid(name)
        if name in stack.services:
            part["instances"] = _instances(stack, name)
    return state


def _instances(stack: Stack, name: str) -> dict[str, dict[str, object]]:
    return {
        f"{name}-{number}": {"pid": stack.pid(process), "pid_file": str(stack.pid_file(process))}
        for number, process in enumerate(stack.processes_of(name), 1)
    }
