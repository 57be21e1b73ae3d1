"""The command line of contracts: `stagepost contracts`, `stagepost contracts export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from stagepost.engine.cli_common import InStyle, Json, Over, out, table
from stagepost.engine.styles import ORCHESTRATED
from stagepost.errors import BadSettings

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


@contracts.command
def export(
    folder: Path,
    *,
    asyncapi: Annotated[bool, Parameter(negative="")] = False,
    jsonschema: Annotated[bool, Parameter(negative="")] = False,
    style: InStyle = ORCHESTRATED,
    transport: Over = None,
) -> None:
    """Write the contracts down for other tools, into a folder that is new or empty.

    Args:
        folder: where to.
        asyncapi: what each service sends and receives, on which channels: AsyncAPI 3.1.
        jsonschema: the body of each message: JSON Schema 2020-12.
    """
    from stagepost.engine.contracts.export import asyncapi_files, jsonschema_files, write_files
    from stagepost.engine.flow import read_flow

    if not (asyncapi or jsonschema):
        raise BadSettings("say what to export: --asyncapi, --jsonschema, or both")
    documents = asyncapi_files(read_flow(style, transport)) if asyncapi else {}
    schemas = jsonschema_files() if jsonschema else {}
    write_files(folder, documents | schemas)
    said = {"AsyncAPI documents": documents, "JSON Schemas": schemas}
    counts = " and ".join(f"{len(files)} {what}" for what, files in said.items() if files)
    out.print(f"{counts} in {folder}", soft_wrap=True, markup=False, highlight=False)
