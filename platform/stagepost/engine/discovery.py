"""Which services there are: every package under `services` whose `app` has one."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from stagepost.engine.service import Service
from stagepost.engine.settings import Settings
from stagepost.engine.styles import ORCHESTRATED, STYLES
from stagepost.errors import BadSettings

PACKAGE = "services"

Serve = Callable[[Settings], Awaitable[None]]


def find_services(style: str = ORCHESTRATED) -> dict[str, Service]:
    """Return the services by name, in the order of their ports. A new one joins by being there.

    An `app` has a `service`, and where it is another in some style, that under the style's name:
    None where nobody needs it.

    Raises:
        BadSettings: there is no such style.
    """
    if style not in STYLES:
        raise BadSettings(f"there is no style {style!r}; there are: {', '.join(STYLES)}")
    variants = [getattr(app, style, getattr(app, "service", None)) for app in _apps().values()]
    found = [service for service in variants if isinstance(service, Service)]
    return {service.name: service for service in sorted(found, key=lambda service: service.port)}


def find_worlds() -> dict[str, tuple[int, Serve]]:
    """Return what is around the services, by name: its PORT, and the `serve` that it brings."""
    return {name: (app.PORT, app.serve) for name, app in _apps().items() if hasattr(app, "serve")}


def find(name: str) -> Service | Serve:
    """Return a service, or the `serve` of a part of the world around.

    Raises:
        BadSettings: there is none of this name.
    """
    services, worlds = find_services(), find_worlds()
    if name in services:
        return services[name]
    if name in worlds:
        return worlds[name][1]
    known = ", ".join([*services, *worlds])
    raise BadSettings(f"there is no service {name!r}; there are: {known}")


def _apps() -> dict[str, ModuleType]:
    package: Any = importlib.import_module(PACKAGE)
    return {
        module.name: importlib.import_module(f"{PACKAGE}.{module.name}.app")
        for module in pkgutil.iter_modules(package.__path__)
        if module.ispkg and importlib.util.find_spec(f"{PACKAGE}.{module.name}.app") is not None
    }
