"""The command line: `stagepost run|up|restart|status|links|check|migrate|prune|dead-letters`."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from cyclopts import App, Parameter

from stagepost.engine import operate
from stagepost.engine.cli_common import Data, Instances, InStyle, Json, Over, err, out, show_table
from stagepost.engine.cli_containers import containers
from stagepost.engine.cli_contracts import contracts
from stagepost.engine.cli_links import check, links
from stagepost.engine.cli_messages import listen, send
from stagepost.engine.cli_move import export, import_
from stagepost.engine.cli_new import new
from stagepost.engine.cli_replay import events, trace
from stagepost.engine.cli_rerun import backfill, replay
from stagepost.engine.cli_token import token
from stagepost.engine.cli_travel import diff, state
from stagepost.engine.cli_views import rebuild, verify, views
from stagepost.engine.styles import ORCHESTRATED
from stagepost.errors import BadSettings, StagepostError

app = App(
    name="stagepost",
    help="Services that keep their state as events and never lose a message.",
    version_flags=["--version"],
)
dead_letters = App(name="dead-letters", help="Messages that could not be handled, and their keys.")
app.command(dead_letters)
app.command(links)
app.command(check)
app.command(new)
app.command(contracts)
app.command(containers)
for command in (
    events,
    state,
    diff,
    trace,
    views,
    rebuild,
    verify,
    replay,
    backfill,
    export,
    token,
):
    app.command(command)
app.command(import_, name="import")
app.command(send)
app.command(listen)


@app.command
def run(service: str) -> None:
    """Run one instance of a service, with the settings of the environment (STAGEPOST_...).

    Args:
        service: its name, such as payments.
    """
    import uvloop

    from stagepost.engine.serve import run as serve
    from stagepost.engine.settings_read import load_settings

    async def serve_to_the_end() -> None:
        await serve(service.removeprefix("services."), load_settings())
        # All is closed. uvloop would wait for a name that is still looked up, of a host that has
        # gone: 12 s were seen, longer than who stops a container waits.
        sys.stdout.flush()
        os._exit(0)

    uvloop.run(serve_to_the_end())


@app.command
def up(
    *,
    style: InStyle = ORCHESTRATED,
    transport: Over = None,
    instances: Instances = 1,
    data: Data = operate.DATA,
) -> int:
    """Run the whole stack on this machine until Ctrl-C."""
    from stagepost.engine.flow import read_flow
    from stagepost.engine.stack import up as run_stack

    return asyncio.run(run_stack(data, read_flow(style, transport), instances))


@app.command
def restart(*services: str, data: Data = operate.DATA) -> None:
    """Restart services of a running stack, one instance after the other; no request fails.

    Args:
        services: their names; all of them where none is named.
    """
    from stagepost.engine.stack.rolling import rolling_restart

    async def run() -> None:
        async for instance in rolling_restart(data, services):
            out.print(f"{instance} is back")

    asyncio.run(run())


@app.command
def status(*, as_json: Json = False, data: Data = operate.DATA) -> None:
    """Show who leads each service of a running stack, how far its readers lag, and dead letters."""
    from stagepost.engine.status import HEADS, rows_of, standings

    found = asyncio.run(standings(data))
    if as_json:
        out.print_json(data=[asdict(standing) for standing in found])
    else:
        show_table(HEADS, (row for standing in found for row in rows_of(standing)))


@app.command
def migrate(
    service: str,
    *,
    dsn: Annotated[str | None, Parameter(env_var="STAGEPOST_OWNER_DATABASE")] = None,
    data: Data = operate.DATA,
) -> None:
    """Bring the database of a service to what this release needs.

    Args:
        service: its name, such as payments.
        dsn: the database, as the owner of its tables; else that of the running stack.
    """
    applied = asyncio.run(operate.migrate_service(service, dsn, data))
    out.print(f"applied {', '.join(applied)}" if applied else "nothing to do")


@app.command
def prune(
    service: str,
    *,
    before: datetime,
    dsn: Annotated[str | None, Parameter(env_var="STAGEPOST_OWNER_DATABASE")] = None,
    data: Data = operate.DATA,
) -> None:
    """Forget what a service sent and heard before a time, and is done with.

    Whoever reads its feed and has not come that far can never go on. Afterwards no backup of any
    service may be restored that is older: what was forgotten would be done again.

    Args:
        service: its name, such as payments.
        before: a day or a time, of this machine unless it says otherwise; 24 hours ago at least.
        dsn: the database, as the owner of its tables; else that of the running stack.
    """
    gone = asyncio.run(operate.prune_service(service, before.astimezone(), dsn, data))
    out.print(
        f"forgot {gone.sent:,} messages that {service} sent and {gone.heard:,} that it heard;"
        f" its feed begins after {gone.begins}"
    )


@dead_letters.command(name="list")
def list_letters(service: str, *, data: Data = operate.DATA) -> None:
    """List the dead letters of a service."""
    letters = asyncio.run(operate.list_letters(data, service))
    if not letters:
        out.print(f"{service} has no dead letters")
        return
    heads = ("id", "state", "type", "key", "tried", "parked at", "reason")
    show_table(heads, [operate.in_short(letter) for letter in letters])


@dead_letters.command
def show(service: str, letter: int, *, data: Data = operate.DATA) -> None:
    """Show one dead letter, with its body."""
    found = asyncio.run(operate.show_letter(data, service, letter))
    show_table(("", ""), operate.in_full(found))


@dead_letters.command
def redrive(service: str, *letters: int, data: Data = operate.DATA) -> None:
    """Handle dead letters again, and then those that wait behind them."""
    out.print(f"{asyncio.run(operate.redrive(data, service, letters))} to be handled again")


@dead_letters.command
def discard(service: str, *letters: int, reason: str, data: Data = operate.DATA) -> None:
    """Give dead letters up for good; those that wait behind them go on."""
    out.print(f"{asyncio.run(operate.discard(data, service, letters, reason))} given up")


def main() -> None:
    """Run the command line: exit status 1 for what went wrong, 2 for a wrong call."""
    try:
        sys.exit(app() or 0)
    except BadSettings as error:
        _complain(error)
        sys.exit(2)
    except StagepostError as error:
        _complain(error)
        sys.exit(1)


def _complain(error: StagepostError) -> None:
    err.print(f"stagepost: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
