"""A view or a snapshot that is not what its events make it is found."""

from __future__ import annotations

import pytest

from services.demo.promises import Audit
from services.demo.replay import check_snapshots, check_views
from tests.promises.world import SERVICES


async def test_every_view_of_a_shop_that_has_run_equals_its_replay(audit: Audit) -> None:
    finding = await check_views(audit, SERVICES.values())
    assert finding.holds, finding.detail
    assert " events folded, 7 views, " in finding.detail


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


SNAPSHOT_OF_CHAIRS = """
    INSERT INTO inventory.snapshots
    SELECT originator_id, 2, 'inventory.StockItem', convert_to('{"class_version": 1, "values":
             {"sku": "chair", "on_hand": 10, "reserved": 0, "gone": 0}}', 'UTF8')
      FROM inventory.stored_events
     WHERE topic = 'inventory.StockItem.Declared' AND convert_from(state, 'UTF8') LIKE '%chair%'
"""


async def test_a_snapshot_that_its_events_make_is_right(audit: Audit) -> None:
    await audit.connection.execute(SNAPSHOT_OF_CHAIRS)
    finding = await check_snapshots(audit, SERVICES.values())
    assert finding.holds, finding.detail
    assert finding.detail == "1 snapshots, 0 ignored, 2 events folded for them"


@pytest.mark.parametrize(
    ("harm", "is_now"),
    [
        (
            """state = convert_to(replace(convert_from(state, 'UTF8'), '10', '11'), 'UTF8')""",
            "'on_hand': 11",
        ),
        ("originator_version = 1", "'version': 1, "),
        ("originator_version = 1000", "'version': 1000, "),
        ("originator_id = gen_random_uuid()", "cannot be read"),
    ],
    ids=["other values", "an earlier version", "ahead of its events", "no such stream"],
)
async def test_a_snapshot_that_its_events_do_not_make_is_found(
    audit: Audit, harm: str, is_now: str
) -> None:
    await audit.connection.execute(SNAPSHOT_OF_CHAIRS)
    await audit.connection.execute(f"UPDATE inventory.snapshots SET {harm}")
    finding = await check_snapshots(audit, SERVICES.values())
    assert not finding.holds
    assert finding.detail.startswith("1 violations, such as: the snapshot of ")
    assert is_now in finding.detail


async def test_a_snapshot_of_another_class_version_is_of_no_use_and_no_fault(audit: Audit) -> None:
    await audit.connection.execute(SNAPSHOT_OF_CHAIRS.replace('version": 1', 'version": 9'))
    finding = await check_snapshots(audit, SERVICES.values())
    assert finding.holds
    assert finding.detail == "1 snapshots, 1 ignored, 0 events folded for them"
