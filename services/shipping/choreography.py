"""What shipping does where nobody commands it: it reacts to what the others tell.

It ships an order that is placed and whose goods are fetched, whichever it hears of first. What is
late or repeated is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping

from contracts import inventory, ordering, shipping
from contracts.values import Lines
from services.shipping import carrier
from services.shipping.handlers import dispatched, ship_goods
from services.shipping.heard import HeardOrder
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Message


def order_placed(event: ordering.OrderPlaced, load: Load) -> Decision:
    """Remember what goes where; if it is fetched already, ship it."""
    order = _heard_of(event, load)
    if order.lines:
        return Decision()
    lines, ship_to = event.lines, event.ship_to
    done = _ship(event.order_id, lines, ship_to, load) if order.is_fetched else Decision()
    order.place(lines=lines, ship_to=ship_to)
    return Decision((order, *done.changed), done.sends)


def goods_fetched(event: inventory.GoodsFetched, load: Load) -> Decision:
    """Ship the goods, as soon as it is known where; refuse where the order was cancelled."""
    order = _heard_of(event, load)
    if order.is_fetched:
        return Decision()
    if order.is_cancelled:
        done = Decision(sends=(_refused(event.order_id),))
    elif order.lines:
        done = _ship(event.order_id, order.lines, order.ship_to, load)
    else:
        done = Decision()
    order.fetch()
    return Decision((order, *done.changed), done.sends)


def cancellation_requested(event: ordering.OrderCancellationRequested, load: Load) -> Decision:
    """Remember to refuse; once the goods are fetched it is too late."""
    order = _heard_of(event, load)
    if order.is_fetched or order.is_cancelled:
        return Decision()
    order.cancel()
    return Decision((order,))


def _heard_of(event: Message, load: Load) -> HeardOrder:
    order = load.one(HeardOrder, HeardOrder.stream(event.key))
    return order or HeardOrder(order_id=event.key)


def _ship(order_id: str, lines: Lines, ship_to: str, load: Load) -> Decision:
    address = ordering.of_order(order_id)
    return ship_goods(shipping.ShipGoods(**address, lines=lines, ship_to=ship_to), load)


def _refused(order_id: str) -> shipping.ShipmentRefused:
    return shipping.ShipmentRefused(**ordering.of_order(order_id), reason=ordering.BY_CUSTOMER)


HANDLERS: Mapping[type[Message], Handler] = {
    ordering.OrderPlaced: order_placed,
    inventory.GoodsFetched: goods_fetched,
    ordering.OrderCancellationRequested: cancellation_requested,
    carrier.Dispatched: dispatched,
}
