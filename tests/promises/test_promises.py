"""Each promise check finds a violation that is planted, and none where there is none."""

from __future__ import annotations

import pytest

from services.demo.promises import PROMISES, Audit
from tests.promises.plants import DELIVERED, LOST, MAILS, MONEY, PLANTS, POINTS, STOCK, sent_again


@pytest.mark.parametrize("promise", PROMISES)
async def test_a_shop_that_has_run_keeps_its_promise(audit: Audit, promise: str) -> None:
    finding = await audit.check(promise)
    assert finding.holds, finding.detail


@pytest.mark.parametrize("plant", PLANTS)
async def test_a_planted_violation_is_found(audit: Audit, plant: str) -> None:
    promise, harm, fault = PLANTS[plant]
    await audit.connection.execute(harm)
    finding = await audit.check(promise)
    assert not finding.holds, f"not found: {plant}"
    assert fault in finding.detail


async def test_an_order_that_waits_in_sight_is_not_lost(audit: Audit) -> None:
    await audit.connection.execute(
        "DELETE FROM ordering.outbox WHERE type = 'ordering.OrderConfirmed' AND key = 'good-1'"
    )
    finding = await audit.check(LOST)
    assert finding.holds
    assert "1 waiting" in finding.detail


async def test_a_message_that_was_just_sent_is_on_its_way_and_not_lost(audit: Audit) -> None:
    await audit.connection.execute(
        sent_again(
            "ordering",
            "ordering.OrderPlaced",
            message_id="gen_random_uuid()",
            recorded_at="clock_timestamp()",
        )
    )
    finding = await audit.check(DELIVERED)
    assert finding.holds
    assert "1 on the way" in finding.detail


async def test_the_figures_are_those_of_the_shop(audit: Audit) -> None:
    money, stock = await audit.check(MONEY), await audit.check(STOCK)
    assert "6,300 kept by the provider, 6,300 kept by payments" in money.detail
    assert "21 received, 15 on hand, 0 reserved, 6 gone, 6 shipped" in stock.detail
    points, mails = await audit.check(POINTS), await audit.check(MAILS)
    assert points.detail == (
        "3 confirmed orders heard of, 3 customers, 41 points awarded, 21 put aside"
    )
    assert mails.detail == "2 customers, 9 mails, 8 sent, 1 failed, 0 on their way"


async def test_a_check_says_which_window_it_covered(audit: Audit) -> None:
    sent = len(await audit.connection.fetch("SELECT FROM ordering.outbox"))
    await audit.connection.execute(
        "TRUNCATE payments.outbox, inventory.outbox, shipping.outbox, fulfillment.outbox,"
        " customers.outbox, loyalty.outbox, notifications.outbox CASCADE"
    )
    assert (await audit.window()).startswith(f"all that is stored: {sent} messages from ")


async def test_at_rest_nothing_is_under_way(audit: Audit) -> None:
    assert not any((await audit.row("under_way")).values())


async def test_a_message_that_nobody_heard_is_under_way(audit: Audit) -> None:
    await audit.connection.execute(
        sent_again("ordering", "ordering.OrderPlaced", message_id="gen_random_uuid()")
    )
    assert (await audit.row("under_way"))["messages"] == 1
