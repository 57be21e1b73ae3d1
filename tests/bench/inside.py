"""The stack with the outside world as a port in the processes that call it."""

from __future__ import annotations

import sys

from stagepost.engine.discovery import find_services
from stagepost.engine.stack import Stack


class StackWithWorldsInside(Stack):
    """Services that call the world outside run as the bench builds them: see `world.py`."""

    def _command(self, name: str) -> tuple[str, ...]:
        service = find_services().get(name)
        if service is None or not service.calls:
            return super()._command(name)
        return (sys.executable, "-m", "tests.bench.world", name, self.databases.dsn("outside"))
