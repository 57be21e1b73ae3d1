"""Payments, as the engine runs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from contracts import payments
from services.payments import choreography
from services.payments.api import ROUTES
from services.payments.handlers import HANDLERS
from services.payments.views import VIEWS
from stagepost.engine.service import Service

service = Service(
    name="payments",
    about="Takes money once for (caller, reference), and gives back what it took.",
    port=8002,
    sql=Path(__file__).parent / "sql",
    handlers=HANDLERS,
    views=VIEWS,
    sends=(payments.PaymentReceived, payments.PaymentDeclined, payments.PaymentRefunded),
    calls=("provider",),
    routes=ROUTES,
)

choreographed = replace(service, handlers=choreography.HANDLERS)
