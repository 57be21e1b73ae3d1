"""A view that is not what its events make it is found."""

from __future__ import annotations

import pytest

from services.demo.promises import Audit
from services.demo.replay import check_views
from tests.promises.world import SERVICES


async def test_every_view_of_a_shop_that_has_run_equals_its_replay(audit: Audit) -> None:
    finding = await check_views(audit, SERVICES.values())
    assert finding.holds, finding.detail
    assert " events folded, 6 views, " in finding.detail


@pytest.mark.parametrize(
    ("harm", "table"),
    [
        ("UPDATE ordering.orders SET amount = amount + 1 WHERE order_id = 'good-1'", "orders"),
        ("DELETE FROM payments.payments WHERE order_id = 'good-1'", "payments.payments"),
        (
            "UPDATE inventory.reservations SET lines = '[]' WHERE order_id = 'good-1'",
            "inventory.reservations",
        ),
        (
            "UPDATE shipping.parcels SET changed_at = now() WHERE order_id = 'good-1'",
            "shipping.parcels",
        ),
        (
            "DELETE FROM fulfillment.stored_events WHERE topic = 'stagepost.Instance.Reacted'",
            "fulfillment.processes",
        ),
    ],
)
async def test_a_row_that_its_events_do_not_make_is_found(
    audit: Audit, harm: str, table: str
) -> None:
    await audit.connection.execute(harm)
    finding = await check_views(audit, SERVICES.values())
    assert not finding.holds
    assert f"{table} is " in finding.detail
