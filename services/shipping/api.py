"""The HTTP API of shipping."""

from __future__ import annotations

from litestar import get
from litestar.params import SkipValidation

from contracts.values import OrderId
from services.shipping.views import ParcelRow
from stagepost.engine.database import Queries
from stagepost.engine.web import problems
from stagepost.engine.web.access import STAFF
from stagepost.errors import NotFound


@get("/shipments/{order_id:str}", opt=STAFF, responses=problems(404))
async def read_shipments(order_id: OrderId, queries: SkipValidation[Queries]) -> list[ParcelRow]:
    """All parcels for one order, whoever asked for them."""
    found = await queries.fetch("parcels_of_order", order_id)
    if not found:
        raise NotFound(f"there is no parcel for order {order_id!r}")
    return [ParcelRow.model_validate(dict(row)) for row in found]


ROUTES = (read_shipments,)
