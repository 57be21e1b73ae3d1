"""The HTTP API of notifications."""

from __future__ import annotations

from litestar import Response, get
from litestar.params import FromQuery, SkipValidation

from contracts.values import CustomerId
from services.notifications.views import NotificationRow
from stagepost.engine.database import Queries
from stagepost.engine.web import Limit, Page, Position, page_of
from stagepost.engine.web.access import CUSTOMERS, act_for, own_id
from stagepost.engine.web.problems import AnyRequest


@get("/notifications", opt=CUSTOMERS)
async def list_notifications(
    request: AnyRequest,
    queries: SkipValidation[Queries],
    customer_id: FromQuery[CustomerId | None] = None,
    after: Position = 0,
    limit: Limit = 100,
) -> Response[Page[NotificationRow]]:
    """Notifications of all customers, or of one, in the order in which they were asked for.

    Customers see their own. The list follows within moments.
    """
    whose = customer_id or own_id(request)
    if whose is not None:
        act_for(request, whose)
    found = await queries.fetch("list_notifications", after, whose, limit)
    rows = [NotificationRow.model_validate(dict(row)) for row in found]
    return page_of(request, rows, limit, lambda row: row.position)


ROUTES = (list_notifications,)
