"""What there is: every package under `services` whose `app` has a service, and all contracts."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic.errors import PydanticUndefinedAnnotation

from stagepost.engine.service import Service
from stagepost.engine.settings import Settings
from stagepost.engine.styles import ORCHESTRATED, STYLES
from stagepost.errors import BadSettings
from stagepost.messages import Command, Event, Message, Timer

PACKAGE = "services"
CONTRACTS = "contracts"

Serve = Callable[[Settings], Awaitable[None]]


def find_services(style: str = ORCHESTRATED) -> dict[str, Service]:
    """Return the services by name, in the order of their ports. A new one joins by being there.

    An `app` has a `service`, and where it is another in some style, that under the style's name:
    None where nobody needs it.

    Raises:
        BadSettings: there is no such style, or a service does not import.
    """
    if style not in STYLES:
        raise BadSettings(f"there is no style {style!r}; there are: {', '.join(STYLES)}")
    variants = [getattr(app, style, getattr(app, "service", None)) for app in _apps().values()]
    found = [service for service in variants if isinstance(service, Service)]
    return {service.name: service for service in sorted(found, key=lambda service: service.port)}


def find_worlds() -> dict[str, tuple[int, Serve]]:
    """Return what is around the services, by name: its PORT, and the `serve` that it brings."""
    return {name: (app.PORT, app.serve) for name, app in _apps().items() if hasattr(app, "serve")}


def find_own_settings() -> dict[str, ModuleType]:
    """Return the module `settings` of each that is told what only it is told: `load` reads that."""
    modules = ((name, f"{PACKAGE}.{name}.settings") for name in _apps())
    return {name: imported(m) for name, m in modules if importlib.util.find_spec(m) is not None}


def find_timers() -> frozenset[str]:
    """Return the names of all timers, of every style."""
    services = (each for style in STYLES for each in find_services(style).values())
    heard = (m for each in services for process in each.processes for m in process.listens_to)
    return frozenset(message.__name__ for message in heard if issubclass(message, Timer))


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


def find_messages() -> list[type[Message]]:
    """Return every message of the contracts, module by module.

    Raises:
        BadSettings: a module does not import or is a folder, a message is of a type that is not
            there, or has no version.
    """
    package: Any = imported(CONTRACTS)
    modules = [*pkgutil.iter_modules(package.__path__)]
    if folders := [module.name for module in modules if module.ispkg]:
        raise BadSettings(f"{CONTRACTS}/{folders[0]} is a folder: an owner has one module")
    return [
        _complete(word)
        for module in modules
        for word in _words(imported(f"{CONTRACTS}.{module.name}"))
    ]


def _complete(message: type[Message]) -> type[Message]:
    # pydantic leaves a class as it is whose annotations name what is not there (yet).
    try:
        message.model_rebuild()
    except PydanticUndefinedAnnotation as error:
        raise BadSettings(f"{message.__module__}.{message.__name__}: {error.message}") from error
    if type(message.VERSION) is not int or message.VERSION < 1:
        raise BadSettings(f"{message.TYPE}: VERSION is 1, 2, ..., and not {message.VERSION!r}")
    return message


def _words(module: ModuleType) -> list[type[Message]]:
    words = (word for word in vars(module).values() if isinstance(word, type))
    ours = (word for word in words if word.__module__ == module.__name__)
    # A message may have a second name.
    return [*dict.fromkeys(word for word in ours if issubclass(word, Command | Event))]


def imported(name: str) -> ModuleType:
    """Import a module of the contracts or of a service.

    Raises:
        BadSettings: it cannot be; it says where that goes wrong.
    """
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise BadSettings(f"{name} does not import: {_fault(error)}") from error


def _fault(error: BaseException) -> str:
    """Say what is wrong, and in which line of a contract or of a service, where one is at fault."""
    if isinstance(error, SyntaxError) and error.filename:
        file = "/".join(Path(error.filename).parts[-2:])
        return f"{type(error).__name__}: {error.msg} ({file}, line {error.lineno})"
    said = " ".join(f"{type(error).__name__}: {error}".split())
    ours = (f"{CONTRACTS}.", f"{PACKAGE}.")
    places = [
        f"{module}, line {line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if (module := str(frame.f_globals.get("__name__"))).startswith(ours)
    ]
    return f"{said} (at {places[-1]})" if places else said


def _apps() -> dict[str, ModuleType]:
    package: Any = imported(PACKAGE)
    return {
        module.name: imported(f"{PACKAGE}.{module.name}.app")
        for module in pkgutil.iter_modules(package.__path__)
        if module.ispkg and importlib.util.find_spec(f"{PACKAGE}.{module.name}.app") is not None
    }
