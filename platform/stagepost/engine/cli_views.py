"""The command line of views: `stagepost views`, `stagepost rebuild`, `stagepost verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stagepost.engine.cli_common import Json, Left, finish, out, show, write

if TYPE_CHECKING:
    from stagepost.engine.replay.compare import Difference
    from stagepost.engine.replay.rebuild import Rebuilt
    from stagepost.engine.replay.verify import Checked

VIEWS = ("service", "view", "position", "lag", "rows", "rebuilt at")


def views(*, as_json: Json = False, data: Left = None) -> None:
    """Show every view of every service: how far it is folded, and when it was last rebuilt.

    The lag is in events that the view has not folded.
    """
    from stagepost.engine.replay.work import all_standings

    found = finish(all_standings(data))
    rows = [
        (one.service, one.view, one.position, one.lag, one.rows, _moment(one.rebuilt_at))
        for one in found
    ]
    if as_json:
        show(VIEWS, [(*row[:5], row[5] or None) for row in rows], as_json=True)
    else:
        show(VIEWS, [(*row[:5], row[5] or "never") for row in rows], as_json=False)


def rebuild(service: str, view: str, *, as_json: Json = False, data: Left = None) -> None:
    """Build a view anew from all events beside the live one, compare the two, and swap them.

    The service goes on, and so does who reads the view. A row that was not as its events make it is
    told: it is right from now on.

    Args:
        service: its name, such as ordering.
        view: its name, such as orders; `stagepost views` lists them.
    """
    from stagepost.engine.replay.work import rebuild_view

    rebuilt = finish(rebuild_view(data, service, view))
    if as_json:
        out.print_json(data=_rebuilt(service, rebuilt))
        return
    write(
        f"{service} {view}: {rebuilt.rows:,} rows of the events up to position"
        f" {rebuilt.position:,}, in {rebuilt.seconds:.1f} s; the swap took"
        f" {rebuilt.held_up * 1000:.0f} ms"
    )
    differences, at = rebuilt.compared.differences, rebuilt.compared_at
    if not differences:
        write(f"the one before it was equal, at position {at:,}")
        return
    write(f"{differences:,} rows of the one before it were wrong, at position {at:,}:")
    _print(rebuilt.compared.first)


def verify(*, as_json: Json = False, data: Left = None) -> int:
    """Compare every view and every snapshot of every service with a fresh replay; 1 if one differs.

    Each view is compared at the position where it stands, while its service goes on. An event that
    cannot be read or folded is named.
    """
    from stagepost.engine.replay.work import verify_all

    async def run() -> list[Checked]:
        checked = []
        async for one in verify_all(data):
            checked.append(one)
            if not as_json:
                _print_checked(one)
        return checked

    checked = finish(run())
    is_equal = all(one.is_equal for one in checked)
    if as_json:
        out.print_json(data={"equal": is_equal, "checked": [_checked(one) for one in checked]})
    return int(not is_equal)


def _print(differences: Sequence[Difference]) -> None:
    for one in differences:
        write(f"  {one}")


def _print_checked(one: Checked) -> None:
    if one.what == "snapshots" and not one.count:
        return
    unit = one.what if one.what in {"events", "snapshots"} else "rows"
    what = f"{one.service} {one.what}: {one.count:,} {unit}"
    if one.fault is not None:
        write(f"{what}, not all replayed: {one.fault}")
    elif one.differences:
        write(f"{what}, {one.differences:,} differ at position {one.position:,}:")
        _print(one.first)
    elif one.what == "events":
        write(f"{what}, all read")
    else:
        write(f"{what}, equal at position {one.position:,}")


def _rebuilt(service: str, rebuilt: Rebuilt) -> dict[str, Any]:
    return {
        "service": service,
        "view": rebuilt.view,
        "position": rebuilt.position,
        "rows": rebuilt.rows,
        "seconds": rebuilt.seconds,
        "swap_seconds": rebuilt.held_up,
        "compared_at": rebuilt.compared_at,
        "differences": rebuilt.compared.differences,
        "first": [asdict(one) for one in rebuilt.compared.first],
    }


def _checked(one: Checked) -> dict[str, Any]:
    return asdict(one) | {"equal": one.is_equal}


def _moment(at: Any) -> str:
    return at.isoformat(timespec="seconds") if at is not None else ""
