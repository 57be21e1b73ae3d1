"""The command line of what happened: `stagepost events`, `stagepost trace`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from stagepost.engine.cli_common import Json, Left, err, finish, one_by_one, write


def events(
    service: str,
    *,
    order: str | None = None,
    since: str | None = None,
    type_: Annotated[tuple[str, ...], Parameter(name="--type", negative="")] = (),
    as_json: Json = False,
    data: Left = None,
) -> None:
    """Show what happened in a service: when, what, because of which message, and who reacted.

    As JSON: a list of position, recorded_at, stream, version, topic, data, cause (id, type, kind,
    key, source; null where its journal was pruned), told (id, type, kind, key, to, heard).

    Args:
        service: its name, such as payments.
        order: only what messages of this order caused, or of whatever else their key is.
        since: only what was recorded from then on: a time with its zone, 2026-11-20T10:00Z.
        type_: only events of this topic, or caused by messages of this type: "payments.*".
    """
    from stagepost.engine.replay.given import moment
    from stagepost.engine.replay.log import Which
    from stagepost.engine.replay.opened import open_logs
    from stagepost.engine.replay.story import tell
    from stagepost.engine.replay.story_shown import object_of, text_of

    which = Which(since=moment(since) if since else None, key=order, types=type_)

    async def run() -> None:
        async with open_logs(data) as logs:
            log = await logs.of(service)
            others = [await logs.of(name) for name in logs.names]
            with one_by_one(object_of, text_of, as_json=as_json) as show:
                await tell(log, others, which, show)

    finish(run())


def trace(
    order: str,
    *,
    mermaid: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
    data: Left = None,
) -> None:
    """Show what came of an order in all services: each message under the one that caused it.

    As JSON: a list of id, cause, type, kind, key, sender, position, recorded_at, heard (service,
    position, outcome, detail, recorded_at), each before what it caused.

    Args:
        order: its id, or whatever else is the key of messages.
        mermaid: as a sequence diagram for Mermaid: commands solid, events dashed.
    """
    from stagepost.engine.replay.opened import open_logs
    from stagepost.engine.replay.trace import MOST
    from stagepost.engine.replay.trace import trace as trace_key
    from stagepost.engine.replay.trace_order import every
    from stagepost.engine.replay.trace_shown import object_of, sequence, tree

    async def run() -> None:
        async with open_logs(data) as logs:
            found = await trace_key([await logs.of(name) for name in logs.names], order)
        if found.is_cut:
            err.print(f"stagepost: only the first {MOST:,} lines of journals are shown")
        if as_json:
            with one_by_one(object_of, str, as_json=True) as show:
                for message in every(found.roots):
                    show(message)
        else:
            write(sequence(found.roots) if mermaid else "\n".join(tree(found.roots)))

    finish(run())
