"""The command line of containers: what the steps of docker-compose.yml run before the services."""

from __future__ import annotations

import asyncio

from cyclopts import App

from stagepost.engine import operate
from stagepost.engine.cli_common import Data
from stagepost.engine.styles import ORCHESTRATED

containers = App(name="containers", help="The steps by which a stack in containers starts.")


@containers.command
def prepare(*, data: Data = operate.DATA) -> None:
    """Make passwords and write down what each container is told, before any of them starts."""
    from stagepost.engine.flow import read_flow
    from stagepost.engine.stack.containers import prepare as prepare_in

    prepare_in(data, read_flow(ORCHESTRATED))


@containers.command
def provide(*, data: Data = operate.DATA) -> None:
    """Make databases, roles, streams and consumers where they are missing."""
    from stagepost.engine.flow import read_flow
    from stagepost.engine.stack.containers import provide as provide_in

    asyncio.run(provide_in(data, read_flow(ORCHESTRATED)))


@containers.command
def seed(*, data: Data = operate.DATA) -> None:
    """Give the services what a fresh stack begins with."""
    from stagepost.engine.stack.foreground import seed as seed_services
    from stagepost.engine.stack.running import Running

    running = Running(data)
    asyncio.run(seed_services(running.urls, running.headers))
