"""What the commands share: their options, and how they print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stagepost.engine.styles import Style
from stagepost.engine.transport_names import TransportName

Data = Annotated[Path, Parameter(help="Where the stack keeps its data.", env_var="DATA")]
Left = Annotated[
    Path | None,
    Parameter(
        name="--data",
        help="Where a stack keeps its data, or has left it; else .stagepost or .stagepost/demo.",
        env_var="DATA",
    ),
]
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


def show(heads: Sequence[str], rows: Sequence[Sequence[object]], *, as_json: bool) -> None:
    """Print rows as a table, or as JSON under the names of their heads."""
    if as_json:
        names = [head.replace(" ", "_") or "remark" for head in heads]
        out.print_json(data=[dict(zip(names, row, strict=True)) for row in rows])
    else:
        out.print(table(heads, (map(str, row) for row in rows)))


def table(heads: Sequence[str], rows: Iterable[Iterable[str]]) -> Table:
    """Return rows as the commands print them."""
    made = Table(*heads, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for row in rows:
        made.add_row(*map(escape, row))
    return made
