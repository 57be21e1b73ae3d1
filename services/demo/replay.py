"""A view equals its replay: fold all events anew, in memory, and compare with the table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eventsourcing.persistence import StoredEvent

from services.demo.promises import Audit, Finding, finding
from stagepost.aggregate import from_stored
from stagepost.engine.service import Service
from stagepost.engine.views import fold
from stagepost.view import Recorded, Row, View

VIEWS = "8 a view equals its replay"


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
