"""What is promised of a store holds also of events that an older release wrote into it."""

from __future__ import annotations

import pytest

from services.demo.promises import PROMISES, Audit
from services.demo.replay import check_views
from stagepost.engine.discovery import find_services

HELD_V1 = """
    state - 'class_version' - 'caller' - 'reference'
    || jsonb_build_object('holder', (state ->> 'caller') || '/' || (state ->> 'reference'))"""
REJECTED_V1 = """
    state - 'class_version' - 'missing' || jsonb_build_object('sku', state -> 'missing' -> 0)"""
REFUND_V1 = "state - 'class_version' - 'reason'"


def as_before(service: str, topic: str, body: str, share: str) -> str:
    """Write events as their first version was, all of them or every second."""
    return f"""
        UPDATE {service}.stored_events AS e SET state = convert_to((
            SELECT {body} FROM (SELECT convert_from(e.state, 'UTF8')::jsonb AS state) AS s
          )::text, 'UTF8')
         WHERE topic ~ '{topic}' AND {share}"""


BEFORE = (
    ("inventory", "StockItem.(Reserved|Fetched|Released|Returned)", HELD_V1),
    ("inventory", "Reservation.Rejected", REJECTED_V1),
    ("payments", "Payment.RefundRequested", REFUND_V1),
)


@pytest.mark.parametrize("share", ["true", "notification_id % 2 = 0"], ids=["all", "some"])
async def test_every_promise_copes_with_both_versions(audit: Audit, share: str) -> None:
    before = {name: await audit.check(name) for name in PROMISES}
    written = [
        await audit.connection.execute(as_before(service, topic, body, share))
        for service, topic, body in BEFORE
    ]
    assert written[0] != "UPDATE 0"
    assert {name: await audit.check(name) for name in PROMISES} == before
    assert all(finding.holds for finding in before.values())
    views = await check_views(audit, find_services().values())
    assert views.holds, views.detail
