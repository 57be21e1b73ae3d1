"""Customers, as the engine runs it: the same in every style."""

from __future__ import annotations

from pathlib import Path

from contracts import customers, notifications
from services.customers.api import ROUTES
from services.customers.handlers import HANDLERS
from services.customers.process import onboarding
from stagepost.engine.service import Service

service = Service(
    name="customers",
    about="Knows who our customers are, keeps their personal data, and sees them onboarded.",
    port=8006,
    sql=Path(__file__).parent / "sql",
    handlers=HANDLERS,
    processes=(onboarding,),
    sends=(
        customers.CustomerRegistered,
        customers.CustomerOnboarded,
        customers.OnboardingOverdue,
        notifications.SendWelcomeLetter,
    ),
    routes=ROUTES,
)
