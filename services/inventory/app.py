"""Inventory, as the engine runs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from contracts import inventory
from services.inventory import choreography
from services.inventory.api import ROUTES
from services.inventory.handlers import HANDLERS
from services.inventory.views import VIEWS
from stagepost.engine.service import Service

service = Service(
    name="inventory",
    about="Knows what is on the shelf, and holds it for whoever asks first.",
    port=8003,
    sql=Path(__file__).parent / "sql",
    handlers=HANDLERS,
    views=VIEWS,
    sends=(
        inventory.StockReserved,
        inventory.StockRejected,
        inventory.GoodsFetched,
        inventory.GoodsMissing,
        inventory.StockReleased,
    ),
    routes=ROUTES,
)

choreographed = replace(
    service,
    handlers=choreography.HANDLERS,
    sends=(inventory.GoodsFetched, inventory.StockRejected, inventory.StockReleased),
)
