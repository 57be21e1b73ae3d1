"""What the commands share: their options, and how they print."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

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

T = TypeVar("T")

INTERRUPTED, NOBODY_READS = 130, 141
"""What a shell says of a command that was ended by Ctrl-C, or whose reader has gone."""


class NobodyReads(Exception):
    """Whoever read what we write has gone."""


out = Console()
err = Console(stderr=True)
_lines = Console(width=1000, soft_wrap=True)


def show(heads: Sequence[str], rows: Sequence[Sequence[object]], *, as_json: bool) -> None:
    """Print rows as a table, or as JSON under the names of their heads."""
    if as_json:
        names = [head.replace(" ", "_") or "remark" for head in heads]
        out.print_json(data=[dict(zip(names, row, strict=True)) for row in rows])
    else:
        show_table(heads, (map(str, row) for row in rows))


def show_table(heads: Sequence[str], rows: Iterable[Iterable[str]]) -> None:
    """Print each row in one line, however narrow the terminal is: nobody copies a folded name."""
    made = Table(*heads, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for row in rows:
        made.add_row(*map(escape, row))
    _lines.print(made)


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Do work to its end. Ctrl-C ends it in good order, and so does who reads no further."""
    import uvloop

    from stagepost.engine.stack.foreground import interruptible

    async def whole() -> tuple[T]:
        return (await work,)

    try:
        done = uvloop.run(interruptible(whole()))
    except (BrokenPipeError, NobodyReads):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NOBODY_READS)
    if done is None:
        sys.exit(INTERRUPTED)
    return done[0]


def write(text: str) -> None:
    """Print text as it is, whatever is in it and however wide the terminal is."""
    sys.stdout.write(f"{text}\n")


def as_text(value: object, *, indent: bool = False) -> str:
    """Write a value as JSON."""
    import orjson

    return orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 if indent else 0).decode()


@contextmanager
def one_by_one(
    to_object: Callable[[T], object], to_text: Callable[[T], str], *, as_json: bool
) -> Iterator[Callable[[T], None]]:
    """Print any number of things, none of which is kept: as text, or as one list in JSON."""
    if not as_json:
        yield lambda one: write(to_text(one))
        return
    before = "["

    def show(one: T) -> None:
        nonlocal before
        sys.stdout.write(f"{before}\n{as_text(to_object(one))}")
        before = ","

    yield show
    write("[]" if before == "[" else "\n]")
