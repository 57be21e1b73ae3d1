"""Shipping, as the engine runs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from contracts import shipping
from services.shipping import choreography
from services.shipping.api import ROUTES
from services.shipping.handlers import HANDLERS
from services.shipping.views import VIEWS
from stagepost.engine.service import Service

service = Service(
    name="shipping",
    about="Hands parcels to the carrier.",
    port=8004,
    sql=Path(__file__).parent / "sql",
    handlers=HANDLERS,
    views=VIEWS,
    sends=(shipping.GoodsShipped, shipping.ShipmentRefused),
    calls=("carrier",),
    routes=ROUTES,
)

choreographed = replace(service, handlers=choreography.HANDLERS)
