"""The command line of travel in time: `stagepost state`, `stagepost diff`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from stagepost.engine.cli_common import Json, Left, as_text, err, finish, one_by_one, write
from stagepost.errors import BadSettings


def state(
    service: str,
    stream: str,
    *,
    version: int | None = None,
    position: int | None = None,
    at: str | None = None,
    as_json: Json = False,
    data: Left = None,
) -> None:
    """Show what an aggregate was: at a version, a position, a time; without any of them, now.

    As JSON: service, stream, id, version, position, recorded_at (of its last event by then; before
    the first one version is 0, the others are null), state (null before the first).

    Args:
        service: its name, such as inventory.
        stream: the name of its stream, such as stock/11.
        version: after so many of its events.
        position: as of this place in the log of the service.
        at: as of this time, with its zone: 2026-11-20T10:00Z.
    """
    from stagepost.engine.replay.given import moment
    from stagepost.engine.replay.names import find_stream
    from stagepost.engine.replay.opened import open_logs
    from stagepost.engine.replay.travel import Point, look
    from stagepost.engine.replay.travel_shown import object_of, text_of

    if sum(given is not None for given in (version, position, at)) > 1:
        raise BadSettings("give one of --version, --position and --at")
    point = Point(version, position, moment(at) if at is not None else None)

    async def run() -> None:
        async with open_logs(data) as logs:
            log = await logs.of(service)
            seen = await look(log, await find_stream(log, stream), point)
        if as_json:
            names = {"service": service, "stream": stream}
            write(as_text({**names, **object_of(seen)}, indent=True))
        else:
            write(text_of(stream, seen))

    finish(run())


def diff(
    service: str,
    stream: str,
    *,
    since: Annotated[int, Parameter(name="--from")] = 0,
    to: int | None = None,
    as_json: Json = False,
    data: Left = None,
) -> None:
    """Show what each event of a stream changed, field by field.

    As JSON: a list of version, position, recorded_at, topic, changes (field, before, after).

    Args:
        service: its name, such as ordering.
        stream: the name of the stream, such as order/10248.
        since: the version to begin with; 0 is before the first event.
        to: the version to end with, else the last; it may be the one that is yet to come.
    """
    from stagepost.engine.replay.names import find_stream
    from stagepost.engine.replay.opened import open_logs
    from stagepost.engine.replay.travel import between, steps
    from stagepost.engine.replay.travel_shown import object_of_step, text_of_step

    async def run() -> None:
        async with open_logs(data) as logs:
            log = await logs.of(service)
            name = await find_stream(log, stream)
            last = await between(log, name, since, to)
            if to is not None and to > last:
                err.print(f"{stream} stands at version {last}: version {to} is yet to come")
            with one_by_one(object_of_step, text_of_step, as_json=as_json) as show:
                await steps(log, name, since, last, show)

    finish(run())
