"""The command line that moves stores: `stagepost export`, `stagepost import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from stagepost.engine.cli_common import Left, NobodyReads, err, finish
from stagepost.errors import BadExport, BadSettings


def export(
    service: str,
    *,
    data: Left = None,
) -> None:
    """Write the store of a service to standard output, as it is at this moment: lines of JSON.

    It is all that the service needs to go on elsewhere: its events; what it has sent and heard, by
    which nothing is done again; how far it has read; and what still waits: calls, timers, dead
    letters. Views and snapshots follow from the events, and are left out. The service may be at
    work meanwhile. Whatever stands in its events stands in the export too: personal data, with
    customers.

    Args:
        service: its name, such as payments.
    """
    from stagepost.engine.replay.export import export as write
    from stagepost.engine.replay.opened import open_logs

    async def run() -> int:
        async with open_logs(data) as logs:
            return await write(await logs.of(service), _put)

    _tell(f"exported {finish(run()):,} rows of {service}")


def import_(
    service: str,
    *,
    data: Annotated[Path, Parameter(help="Where a stack is to keep its data.", env_var="DATA")],
) -> None:
    """Fill the empty store of a service with an export, from standard input: all of it or nothing.

    Every event has the position that it had, what happens from now on has later ones. The folder is
    that of a stack that does not run, or a new one. Its views are folded when the service starts
    there. It goes on where it was: what waited is done. So let only one of the two go on.

    Args:
        service: its name, such as payments.
    """
    from stagepost.engine.operate import service_with_store
    from stagepost.engine.stack.bring_in import import_store

    found = service_with_store(service)
    if sys.stdin.isatty():
        raise BadSettings(f"an export belongs on standard input: < {service}.jsonl")
    rows = finish(import_store(data.absolute(), found, sys.stdin.buffer))
    _tell(f"imported {rows:,} rows of {service} into {data}")


def _put(line: bytes) -> None:
    """Write a line, in the middle of a transaction that would take an OSError for its own."""
    try:
        sys.stdout.buffer.write(line)
    except BrokenPipeError as error:
        raise NobodyReads from error
    except OSError as error:
        raise BadExport(f"the export cannot be written: {error}") from error


def _tell(line: str) -> None:
    err.print(line, soft_wrap=True, markup=False, highlight=False)
