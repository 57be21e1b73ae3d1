"""The command line of other code and other readers: `stagepost replay`, `stagepost backfill`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from stagepost.engine.cli_common import Json, Left, finish, out, write

if TYPE_CHECKING:
    from stagepost.engine.replay.rerun import Kind

DIFFERS = {
    "state": "goes to another state",
    "sends": "sends other messages",
    "data": "keeps other data",
    "bodies": "sends the same with other content",
    "ignores": "ignores it",
    "fails": "fails",
}


def replay(
    service: str,
    *,
    code: Annotated[str, Parameter(name="--with")],
    as_json: Json = False,
    data: Left = None,
) -> int:
    """Put what a service's process has heard through other code; 1 where that decides otherwise.

    Nothing is sent and no timer is set: decisions are compared, and of each key the first that
    differs is counted. What the process ignored is not recorded, and not asked about.

    Args:
        service: its name, such as fulfillment.
        code: the other `react`, such as my_module:react, found from this folder.
    """
    from stagepost.engine.replay.other import load_react
    from stagepost.engine.replay.work import rerun_all

    react = load_react(code)
    found = finish(rerun_all(data, service, react))
    kinds = sorted(found.kinds.values(), key=lambda kind: -kind.keys)
    if as_json:
        out.print_json(
            data={
                "process": found.process,
                "keys": found.keys,
                "decisions": found.decisions,
                "differing": found.differing,
                "kinds": [asdict(kind) for kind in kinds],
            }
        )
        return int(bool(kinds))
    write(
        f"{found.process}: {found.decisions:,} decisions about {found.keys:,} keys;"
        f" {found.differing:,} keys would go another way"
    )
    for kind in kinds:
        write(_text_of(kind))
    return int(bool(kinds))


def backfill(
    reader: str,
    *,
    source: Annotated[str, Parameter(name="--from")],
    as_json: Json = False,
    data: Left = None,
) -> None:
    """Have a service hear what another has told, from the beginning of its feed to the end.

    What it has heard before it knows by the message's id. It may run meanwhile, or not: it goes on
    live behind where this ends. Unlike a replay this has every effect that the messages have.

    Args:
        reader: the service that catches up, such as loyalty.
        source: whose events it has missed, such as ordering.
    """
    from stagepost.engine.backfill_stack import backfill as run

    done = finish(run(data, reader, source))
    if as_json:
        out.print_json(
            data={
                "reader": reader,
                "source": source,
                "read": done.read,
                "known": done.known,
                "handled": done.handled,
                **done.until._asdict(),
                "goes_on": done.goes_on,
            }
        )
        return
    write(
        f"{reader} has what {source} told up to position {done.until.position:,}:"
        f" {done.handled:,} events were new to it, {done.known:,} it had heard"
    )


def _text_of(kind: Kind) -> str:
    """Return two lines: what the other code does about a message, and what is recorded instead."""
    first = kind.first[0]
    return (
        f"{kind.heard}: {DIFFERS[kind.kind]}; {kind.keys:,} keys, such as {first.key}"
        f" at position {first.position:,}\n    recorded {kind.recorded}, would be {kind.would}"
    )
