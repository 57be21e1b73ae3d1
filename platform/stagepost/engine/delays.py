"""The delays of timers that settings give: each is of a timer that there is."""

from __future__ import annotations

from stagepost.engine.discovery import find_timers
from stagepost.engine.replay.given import unknown
from stagepost.engine.settings import Settings
from stagepost.errors import BadSettings


def check_delays(settings: Settings) -> None:
    """Refuse delays of timers that nobody has: they would be ignored in silence.

    Raises:
        BadSettings: names the first.
    """
    known = sorted(find_timers())
    for name in settings.timers:
        if name not in known:
            raise BadSettings(f"cannot start: STAGEPOST_TIMERS: {unknown('timer', name, known)}")
