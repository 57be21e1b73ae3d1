"""Fulfillment, as the engine runs it."""

from __future__ import annotations

from pathlib import Path

from contracts import fulfillment, inventory, ordering, payments, shipping
from services.fulfillment.api import ROUTES
from services.fulfillment.process import order_fulfillment
from services.fulfillment.views import VIEWS
from stagepost.engine.service import Service

service = Service(
    name="fulfillment",
    about="Owns the outcome of every order: confirmed in time, or undone and rejected.",
    port=8005,
    sql=Path(__file__).parent / "sql",
    processes=(order_fulfillment,),
    views=VIEWS,
    sends=(
        *(payments.RetrievePayment, payments.RefundPayment),
        *(inventory.ReserveStock, inventory.FetchGoods, inventory.ReleaseStock),
        shipping.ShipGoods,
        *(ordering.ConfirmOrder, ordering.RejectOrder),
        fulfillment.FulfillmentOverdue,
    ),
    routes=ROUTES,
)

choreographed = None
"""Where the others react to each other nobody owns the outcome: nobody knows where an order stands,
waits for its undo, minds its service level or can have it asked again or given up."""
