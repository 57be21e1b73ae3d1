"""The command line of contracts: `stagepost contracts`."""

from __future__ import annotations

from cyclopts import App

from stagepost.engine.cli_common import InStyle, Json, Over, out, table
from stagepost.engine.styles import ORCHESTRATED

contracts = App(name="contracts")


@contracts.default
def show_contracts(
    *, style: InStyle = ORCHESTRATED, transport: Over = None, as_json: Json = False
) -> None:
    """Show every message: its kind, owner, version and key, who sends and reads it, and over what.

    As JSON: a list of type, kind, owner, version, key, senders, readers, transports, doc.
    """
    from stagepost.engine.contracts.listed import HEADS, catalogue, cells
    from stagepost.engine.flow import read_flow

    entries = catalogue(read_flow(style, transport))
    if as_json:
        out.print_json(data=[entry._asdict() for entry in entries])
    else:
        out.print(table(HEADS, map(cells, entries)))
