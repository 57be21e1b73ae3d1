"""The command line of contracts: `stagepost contracts`, `contracts check|release|export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from stagepost.engine.cli_common import InStyle, Json, Over, out, show_table, write
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
        show_table(HEADS, map(cells, entries))


@contracts.command
def check(*, against: str | None = None) -> int:
    """Look for changes of messages that break whoever reads them; 1 where there are any.

    The rules are in contracts/README.md.

    Args:
        against: a revision of the repository: what was released then, instead of what is now.
    """
    from stagepost.engine.contracts.golden import read_golden, read_golden_at
    from stagepost.engine.contracts.judge import problems
    from stagepost.engine.contracts.release import unreleased
    from stagepost.engine.contracts.shown import text_of
    from stagepost.engine.discovery import find_messages

    messages = find_messages()
    if against is None:
        released = read_golden()
        found, new = problems(released, messages), unreleased(released, messages)
    else:
        found, new = problems(read_golden_at(against), messages), []
    write(text_of(found, new))
    return int(bool(found))


@contracts.command
def release() -> int:
    """Release what is new: from then on it is held to the rules in contracts/README.md.

    Where `stagepost contracts check` finds something, nothing is released.
    """
    from stagepost.engine.contracts.golden import read_golden, write_golden
    from stagepost.engine.contracts.judge import ends_everywhere, problems
    from stagepost.engine.contracts.release import golden_of, unreleased
    from stagepost.engine.contracts.shown import text_of
    from stagepost.engine.discovery import find_messages

    messages, released = find_messages(), read_golden()
    if found := problems(released, messages):
        write(f"{text_of(found)}; nothing is released")
        return 1
    fresh = [*golden_of(unreleased(released, messages), released, ends_everywhere())]
    if found := problems([*released, *fresh], messages):  # its own example may not be read
        write(f"{text_of(found)}; nothing is released")
        return 1
    write_golden(fresh)
    write("\n".join(f"released {one.file}" for one in fresh) or "nothing is new")
    return 0


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
