"""What `stack.json` says about a stack that runs: where everything is, and how to get in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stagepost.engine.external import EXTERNAL, OPERATOR
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.nats_rules import ADMIN

if TYPE_CHECKING:
    from stagepost.engine.stack.stack import Stack


def state_of(stack: Stack) -> dict[str, object]:
    """Return what an operator needs to reach a stack that this process runs."""
    services = {
        name: _part(stack, name) | {"instances": _instances(stack, name)} for name in stack.services
    }
    worlds = {name: _part(stack, name) for name in stack.names if name not in services}
    return {
        "pid": os.getpid(),
        "services": services,
        **worlds,
        "postgres": {
            "superuser": stack.superuser_dsn,
            "audit": stack.audit_dsn,
            "sockets": str(stack.sockets),
        },
        "flow": {
            "style": stack.flow.style,
            "transports": dict(stack.flow.transports),
            "external": dict(stack.flow.external),
        },
        **(_broker(stack) if stack.uses(NATS) else {}),
    }


def _broker(stack: Stack) -> dict[str, object]:
    """Return how the operator reaches NATS, and how each sender from outside does."""
    senders = (OPERATOR, *stack.flow.external)
    return {
        "nats": {"url": stack.nats_url(ADMIN)},
        EXTERNAL: {sender: stack.nats_url(sender) for sender in senders},
    }


def _part(stack: Stack, name: str) -> dict[str, object]:
    return {
        "url": stack.url(name),
        "port": urlsplit(stack.url(name)).port,
        "pid": stack.pid(name),
        "database": stack.dsn(name),
        "owner_database": stack.databases.owner_dsn(name),
    }


def _instances(stack: Stack, name: str) -> dict[str, dict[str, object]]:
    return {
        f"{name}-{number}": {"pid": stack.pid(process), "pid_file": str(stack.pid_file(process))}
        for number, process in enumerate(stack.processes_of(name), 1)
    }
