"""A view equals its replay, a snapshot its events: fold them anew, in memory, and compare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eventsourcing.persistence import StoredEvent

from services.demo.promises import Audit, Finding, finding
from stagepost.aggregate import Aggregate, from_snapshot, from_stored
from stagepost.engine.cache import Loadable
from stagepost.engine.decisions import fold_or_fault
from stagepost.engine.service import Service
from stagepost.engine.store import Stream
from stagepost.engine.views import fold
from stagepost.view import Recorded, Row, View

VIEWS = "8 a view equals its replay"
SNAPSHOTS = "8 a snapshot equals its events"


async def check_views(audit: Audit, services: Iterable[Service]) -> Finding:
    """Fold every view anew from all events; a fold is a pure function, so nothing can be sent."""
    faults: list[str] = []
    figures = {"events_folded": 0, "views": 0, "rows_compared": 0}
    for service in services:
        events = await _events(audit, service)
        figures["events_folded"] += len(events)
        for view in service.views:
            stored = await _stored(audit, service, view)
            faults += differences(f"{service.name}.{view.name}", stored, replayed(view, events))
            figures["views"] += 1
            figures["rows_compared"] += len(stored)
    return finding(faults, figures)


async def check_snapshots(audit: Audit, services: Iterable[Service]) -> Finding:
    """Fold the events of every snapshot; one of another release is of no use, and harms nobody."""
    faults: list[str] = []
    figures = {"snapshots": 0, "ignored": 0, "events_folded_for_them": 0}
    for service in services:
        for snapshot in await _snapshots(audit, service):
            kept = _kept(snapshot)
            figures["snapshots"] += 1
            figures["ignored"] += kept is None
            if kept is None:
                continue
            events = await _events_of(audit, service, snapshot)
            figures["events_folded_for_them"] += len(events)
            folded = fold_or_fault(kept.id, Stream(events))
            if kept != folded:
                faults.append(
                    f"the snapshot of {kept.id} in {service.name} is {_state(kept)}, "
                    f"the events make it {_state(folded)}"
                )
    return finding(faults, figures)


def _kept(snapshot: StoredEvent) -> Aggregate | None:
    """Read a snapshot as an engine would, which falls back on the events."""
    try:
        return from_snapshot(snapshot)
    except Exception:  # noqa: BLE001  # whatever is wrong with it
        return None


def _state(aggregate: Loadable) -> dict[str, Any] | Loadable:
    """Return an aggregate's own values, and at which version it has them."""
    if not isinstance(aggregate, Aggregate):
        return aggregate
    own = {name: value for name, value in vars(aggregate).items() if name[0] != "_"}
    return {"version": aggregate.version, **own}


async def _snapshots(audit: Audit, service: Service) -> list[StoredEvent]:
    records = await audit.connection.fetch(
        f"""SELECT originator_id, originator_version, topic, state
              FROM {service.name}.snapshots ORDER BY originator_id"""  # noqa: S608  # a service's name
    )
    return [StoredEvent(*record) for record in records]


async def _events_of(audit: Audit, service: Service, snapshot: StoredEvent) -> list[StoredEvent]:
    """Return the events that a snapshot stands for."""
    records = await audit.connection.fetch(
        f"""SELECT originator_id, originator_version, topic, state
              FROM {service.name}.stored_events
             WHERE originator_id = $1 AND originator_version <= $2
             ORDER BY originator_version""",  # noqa: S608  # a service's name
        snapshot.originator_id,
        snapshot.originator_version,
    )
    return [StoredEvent(*record) for record in records]


def replayed(view: View[Any], events: Iterable[Recorded]) -> dict[str, Row]:
    """Fold events into the rows that the view should have."""
    return fold(view, {}, ((view.key_of(recorded.event), recorded) for recorded in events))


def differences(table: str, stored: dict[str, Row], replayed: dict[str, Row]) -> list[str]:
    """Say which rows are not as the events make them."""
    return [
        f"the row {key} of {table} is {stored.get(key)}, the events make it {replayed.get(key)}"
        for key in sorted(stored.keys() | replayed.keys())
        if stored.get(key) != replayed.get(key)
    ]


async def _events(audit: Audit, service: Service) -> list[Recorded]:
    records = await audit.connection.fetch(
        f"""SELECT notification_id, recorded_at, originator_id, originator_version, topic, state
              FROM {service.name}.stored_events ORDER BY notification_id"""  # noqa: S608  # a service's name
    )
    return [Recorded(n, at, from_stored(StoredEvent(*event))) for n, at, *event in records]


async def _stored(audit: Audit, service: Service, view: View[Any]) -> dict[str, Row]:
    records = await audit.connection.fetch(
        f"SELECT {view.key}::text, to_jsonb(v)::text FROM {service.name}.{view.name} AS v"  # noqa: S608  # names of ours
    )
    return {key: view.row.model_validate_json(row) for key, row in records}
