"""What came of an order, across all services, by causation."""

from __future__ import annotations

from uuid import UUID

import pytest

from stagepost.engine.replay.log import Log
from stagepost.engine.replay.trace import trace
from stagepost.engine.replay.trace_order import every, in_order
from stagepost.engine.replay.trace_shown import object_of, sequence, tree
from stagepost.errors import BadSettings

ORDINARY = """\
  client->>ordering: PlaceOrder
  ordering-->>fulfillment: OrderPlaced
  fulfillment->>payments: RetrievePayment
  fulfillment->>inventory: ReserveStock
  payments->>provider: Charge
  provider-->>payments: Charged
  payments-->>fulfillment: PaymentReceived
  inventory-->>fulfillment: StockReserved
  fulfillment->>inventory: FetchGoods
  inventory-->>fulfillment: GoodsFetched
  fulfillment->>shipping: ShipGoods
  shipping->>carrier: Dispatch
  carrier-->>shipping: Dispatched
  shipping-->>fulfillment: GoodsShipped
  fulfillment->>ordering: ConfirmOrder
  ordering-->>fulfillment: OrderConfirmed
  ordering-->>loyalty: OrderConfirmed
  ordering-->>notifications: OrderConfirmed
  notifications->>mail: Mail
  mail-->>notifications: Mailed"""


async def test_all_that_came_of_an_order_hangs_under_its_request(logs: dict[str, Log]) -> None:
    found = await trace(list(logs.values()), "good-1")

    (root,) = found.roots
    assert root.line.type == "ordering.PlaceOrder"
    messages = list(every(found.roots))
    kept = 0
    for log in logs.values():
        kept += (
            await log.fetch(
                "SELECT count(*) FROM (SELECT message_id FROM inbox WHERE correlation_id = $1"
                " UNION ALL SELECT message_id FROM outbox WHERE correlation_id = $1) m",
                root.line.correlation,
            )
        )[0][0]
    assert sum((m.sent is not None) + len(m.heard) for m in messages) == kept
    assert next(tree(found.roots)).startswith("ordering.PlaceOrder  request, client to ordering")
    assert len(list(tree(found.roots))) == len(messages)


async def test_it_is_drawn_with_commands_solid_and_events_dashed(logs: dict[str, Log]) -> None:
    found = await trace(list(logs.values()), "good-1")

    drawn = sequence(found.roots).splitlines()
    assert drawn[0] == "sequenceDiagram"
    assert "  participant client" in drawn
    assert set(ORDINARY.splitlines()) <= set(drawn)


@pytest.mark.parametrize("order", ["good-1", "declined", "cancel-1"])
async def test_nothing_is_heard_before_its_cause(logs: dict[str, Log], order: str) -> None:
    found = await trace(list(logs.values()), order)

    heard: set[UUID] = set()
    positions: dict[str, int] = {}
    for message, line in in_order(found.roots):
        assert message.line.causation is None or message.line.causation in heard
        heard.add(message.id)
        if line is not None:
            assert line.position > positions.get(line.service, 0)
            positions[line.service] = line.position
    assert heard == {message.id for message in every(found.roots)}


async def test_another_key_is_led_back_to_what_began_it(logs: dict[str, Log]) -> None:
    found = await trace(list(logs.values()), "c1")

    begun = {root.line.type for root in found.roots}
    assert begun == {
        "customers.RegisterCustomer",
        "ordering.PlaceOrder",
        "ordering.RequestCancellation",
    }
    assert {object_of(m)["key"] for m in every(found.roots)} >= {"c1", "good-1", "good-2"}


async def test_what_nobody_has_heard_of_is_refused(logs: dict[str, Log]) -> None:
    with pytest.raises(BadSettings, match="there is no order 'good-3'; did you mean good-"):
        await trace(list(logs.values()), "good-3")
