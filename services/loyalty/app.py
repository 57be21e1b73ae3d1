"""Loyalty, as the engine runs it: the same in every style."""

from __future__ import annotations

from pathlib import Path

from contracts import loyalty
from services.loyalty.api import ROUTES
from services.loyalty.handlers import HANDLERS
from stagepost.engine.service import Service

service = Service(
    name="loyalty",
    about="Gives points for what customers buy.",
    port=8007,
    sql=Path(__file__).parent / "sql",
    handlers=HANDLERS,
    sends=(loyalty.PointsAwarded,),
    routes=ROUTES,
)
