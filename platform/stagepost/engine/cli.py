"""The command line: `stagepost run|up|restart|status|links|migrate|prune|dead-letters`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stagepost.engine import operate
from stagepost.engine.styles import ORCHESTRATED, Style
from stagepost.engine.transport_names import TransportName
from stagepost.errors import BadSettings, StagepostError

app = App(
    name="stagepost",
    help="Services that keep their state as events and never lose a message.",
    version_flags=["--version"],
)
dead_letters = App(name="dead-letters", help="Messages that could not be handled, and their keys.")
app.command(dead_letters)

Data = Annotated[Path, Parameter(help="Where the stack keeps its data.", env_var="DATA")]
Instances = Annotated[
    int,
    Parameter(
        help="Processes of each service.",
        env_var="INSTANCES",
        validator=validators.Number(gte=1, lte=9),
    ),
]
InStyle = Annotated[Style, Parameter(help="How the services work together.", env_var="STYLE")]
Over = Annotated[
    TransportName | None,
    Parameter(help="The transport of links that name none.", env_var="TRANSPORT"),
]
Json = Annotated[
    bool, Parameter(name="--json", negative="", help="Print it as JSON.", env_var="JSON")
]

out = Console()
err = Console(stderr=True)


@app.command
def run(service: str) -> None:
    """Run one instance of a service, with the settings of the environment (STAGEPOST_...).

    Args:
        service: its name, such as payments.
    """
    import uvloop

    from stagepost.engine.serve import run as serve
    from stagepost.engine.settings import load_settings

    uvloop.run(serve(service.removeprefix("services."), load_settings()))


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
        out.print(_table(HEADS, (row for standing in found for row in rows_of(standing))))


@app.command
def links(
    *,
    style: InStyle = ORCHESTRATED,
    transport: Over = None,
    dependencies: Annotated[bool, Parameter(negative="")] = False,
    mermaid: Annotated[bool, Parameter(negative="")] = False,
    observed: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
    data: Data = operate.DATA,
) -> None:
    """Show who sends what to whom, who answers for what comes of it, and over which transport.

    Args:
        dependencies: who depends on whom: the arrow of an event turns.
        mermaid: as a picture for Mermaid: commands solid, answers and events dotted.
        observed: beside what the services of a running stack have heard.
    """
    from stagepost.engine import links_shown
    from stagepost.engine.flow import read_flow

    if observed:
        seen = asyncio.run(links_shown.observed(data))
        _show(links_shown.OBSERVED, seen, as_json=as_json)
        return
    flow = read_flow(style, transport)
    if mermaid:
        draw = links_shown.picture_of_dependencies if dependencies else links_shown.picture
        out.print(draw(flow), soft_wrap=True, markup=False, highlight=False)
    elif dependencies:
        found = links_shown.dependencies(flow).items()
        rows = [(who, on, ", ".join(names)) for (who, on), names in found]
        _show(links_shown.DEPENDENCIES, rows, as_json=as_json)
    else:
        _show(links_shown.HEADS, links_shown.rows(flow), as_json=as_json)


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
    out.print(_table(heads, [operate.in_short(letter) for letter in letters]))


@dead_letters.command
def show(service: str, letter: int, *, data: Data = operate.DATA) -> None:
    """Show one dead letter, with its body."""
    found = asyncio.run(operate.show_letter(data, service, letter))
    out.print(_table(("", ""), operate.in_full(found)))


@dead_letters.command
def redrive(service: str, *letters: int, data: Data = operate.DATA) -> None:
    """Handle dead letters again, and then those that wait behind them."""
    out.print(f"{asyncio.run(operate.redrive(data, service, letters))} to be handled again")


@dead_letters.command
def discard(service: str, *letters: int, reason: str, data: Data = operate.DATA) -> None:
    """Give dead letters up for good; those that wait behind them go on."""
    out.print(f"{asyncio.run(operate.discard(data, service, letters, reason))} given up")


def _show(heads: Sequence[str], rows: Sequence[Sequence[object]], *, as_json: bool) -> None:
    if as_json:
        names = [head.replace(" ", "_") or "remark" for head in heads]
        out.print_json(data=[dict(zip(names, row, strict=True)) for row in rows])
    else:
        out.print(_table(heads, (map(str, row) for row in rows)))


def _table(heads: Sequence[str], rows: Iterable[Iterable[str]]) -> Table:
    table = Table(*heads, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*map(escape, row))
    return table


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
