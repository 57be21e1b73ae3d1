"""The HTTP API of payments."""

from __future__ import annotations

from litestar import get
from litestar.params import SkipValidation

from contracts.values import OrderId
from services.payments.views import PaymentRow
from stagepost.engine.database import Queries
from stagepost.engine.web import problems
from stagepost.engine.web.access import STAFF
from stagepost.errors import NotFound


@get("/payments/{order_id:str}", opt=STAFF, responses=problems(404))
async def read_payments(order_id: OrderId, queries: SkipValidation[Queries]) -> list[PaymentRow]:
    """All payments for one order, whoever asked for them."""
    found = await queries.fetch("payments_of_order", order_id)
    if not found:
        raise NotFound(f"there is no payment for order {order_id!r}")
    return [PaymentRow.model_validate(dict(row)) for row in found]


ROUTES = (read_payments,)
