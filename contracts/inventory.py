"""What inventory can be asked, and what it tells."""

from __future__ import annotations

from contracts.values import Lines, OrderId
from stagepost.messages import Answer, Command, Refusal


class ReserveStock(Command):
    """Hold all these goods for (caller, reference), or none of them."""

    order_id: OrderId
    lines: Lines


class FetchGoods(Command):
    """Take the reserved goods off the shelf."""

    order_id: OrderId


class ReleaseStock(Command):
    """Put back what is reserved or fetched; reserve nothing for (caller, reference) any more."""

    NEVER_REFUSED = "where nothing is held, nothing is put back, and that is the answer"
    order_id: OrderId


class StockReserved(Answer, to=ReserveStock):
    """The goods wait on the shelf under the order's name."""

    order_id: OrderId


class StockRejected(Refusal, to=ReserveStock):
    """Not all of the goods are there; nothing is held."""

    order_id: OrderId


class GoodsFetched(Answer, to=FetchGoods):
    """The goods are off the shelf, ready to ship."""

    order_id: OrderId


class GoodsMissing(Refusal, to=FetchGoods):
    """There is no reservation to fetch."""

    order_id: OrderId


class StockReleased(Answer, to=ReleaseStock):
    """Nothing is held for the reference any more."""

    order_id: OrderId
