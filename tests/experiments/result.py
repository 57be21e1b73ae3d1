"""What came of an experiment: tables, and what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Drawn

WIDTH = 110
"""Columns of what is not printed to a terminal, such as the README."""


@dataclass(frozen=True)
class Table:
    """Figures under their heads."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    def as_json(self) -> dict[str, Any]:
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows}


@dataclass(frozen=True)
class Result:
    """All that is told: `says` what the tables show and what they do not, in paragraphs.

    `holds` where it came out as it was claimed.
    """

    tables: Sequence[Table]
    says: Sequence[str]
    holds: bool

    def as_json(self) -> dict[str, Any]:
        tables = [table.as_json() for table in self.tables]
        return {"tables": tables, "says": list(self.says), "holds": self.holds}


def show(result: Result, console: Console) -> None:
    """Print a result for a person."""
    for table in result.tables:
        drawn = Drawn(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        rows = [[_in_words(cell) for cell in row] for row in table.rows]
        for head, *cells in zip(table.columns, *rows, strict=True):
            # Heads and sentences are broken into lines, words and figures are not.
            longest = max(len(word) for cell in cells for word in cell.split(" "))
            drawn.add_column(escape(head), min_width=longest)
        for row in rows:
            drawn.add_row(*map(escape, row))
        console.print(f"{escape(table.title)}\n", highlight=False)
        console.print(drawn, "")
    for line in result.says:
        console.print(f"{escape(line)}\n", highlight=False)


def _in_words(cell: object) -> str:
    match cell:
        case bool():
            return "yes" if cell else "no"
        case int():
            return f"{cell:,}"
        case _:
            return str(cell)
