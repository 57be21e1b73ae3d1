"""Notifications, as the engine runs it: the same in every style."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from contracts import notifications
from services.notifications.api import ROUTES
from services.notifications.handlers import HANDLERS
from services.notifications.views import VIEWS
from stagepost.engine.service import Service

if TYPE_CHECKING:
    from stagepost.engine.calls import Calls
    from stagepost.engine.settings import Settings


def _open_calls(settings: Settings) -> Calls:
    # Every service's process imports every app: only this one needs what talks to mail servers.
    from services.notifications.settings import open_post_office  # noqa: PLC0415

    return open_post_office(settings)


service = Service(
    name="notifications",
    about="Sends letters and mails, and keeps the proof.",
    port=8008,
    sql=Path(__file__).parent / "sql",
    handlers=HANDLERS,
    views=VIEWS,
    sends=(
        notifications.WelcomeLetterSent,
        notifications.WelcomeLetterFailed,
        notifications.NotificationSent,
    ),
    open_calls=_open_calls,
    routes=ROUTES,
)
