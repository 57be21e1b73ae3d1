"""Ordering, as the engine runs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from contracts import ordering
from services.ordering import choreography
from services.ordering.api import ROUTES
from services.ordering.handlers import HANDLERS
from services.ordering.views import VIEWS
from stagepost.engine.service import Service

service = Service(
    name="ordering",
    about="Takes customers' orders, and remembers how they ended.",
    port=8001,
    sql=Path(__file__).parent / "sql",
    handlers=HANDLERS,
    views=VIEWS,
    sends=(
        ordering.OrderPlaced,
        ordering.OrderCancellationRequested,
        ordering.OrderConfirmed,
        ordering.OrderRejected,
    ),
    routes=ROUTES,
)

choreographed = replace(service, handlers=choreography.HANDLERS)
