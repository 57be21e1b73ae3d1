"""The container of a new service in `docker-compose.yml`: after those of the others."""

from __future__ import annotations

from stagepost.errors import BadSettings

COMPOSE = "docker-compose.yml"
_WORLD = "  outside:\n    <<: *service\n"
_LAST_AWAITED = "      outside: {condition: service_healthy}\n"


def with_container(name: str, container: str, text: str) -> str:
    """Return the file with one container more, for which the demonstration waits as well.

    Raises:
        BadSettings: the file is not as it was; where the container goes cannot be told.
    """
    awaited = _LAST_AWAITED.replace("outside", name)
    for mark, added in ((_WORLD, container), (_LAST_AWAITED, awaited)):
        if text.count(mark) != 1:
            raise BadSettings(f"{COMPOSE} has no {mark.strip()!r}: {name} cannot be added")
        text = text.replace(mark, added + mark)
    return text
