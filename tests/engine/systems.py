"""Small systems for the rules to look at: services that tell, ask and answer each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import new_class
from typing import Any, cast

from stagepost import Decision, Load
from stagepost.engine.findings.values import System
from stagepost.engine.link_file import Decided, LinkKind, Record
from stagepost.engine.links import Links
from stagepost.engine.service import Service
from stagepost.messages import Answer, Command, Event, Message, Refusal
from stagepost.process import Process


def event(owner: str, name: str) -> type[Event]:
    return cast("type[Event]", _message(name, Event, owner))


def command(owner: str, name: str, **said: Any) -> type[Command]:
    return cast("type[Command]", _message(name, Command, owner, **said))


def answer(name: str, to: type[Command], also: tuple[type[Command], ...] = ()) -> type[Answer]:
    return cast("type[Answer]", _message(name, Answer, to.OWNER, {"to": to, "also": also}))


def refusal(name: str, to: type[Command]) -> type[Answer]:
    return cast("type[Answer]", _message(name, Refusal, to.OWNER, {"to": to}))


def _message(
    name: str,
    base: type[Message],
    owner: str,
    declared: dict[str, Any] | None = None,
    **said: Any,
) -> type:
    body = {"OWNER": owner, "__module__": __name__, **said}
    return new_class(name, (base,), declared, lambda namespace: namespace.update(body))


def service(
    name: str,
    *,
    sends: Sequence[type[Message]] = (),
    hears: Sequence[type[Message]] = (),
    processes: Sequence[Process[Any]] = (),
) -> Service:
    handlers = dict.fromkeys(hears, _handle)
    return Service(name, "", 0, Path(), handlers=handlers, processes=processes, sends=sends)


def _handle(_message: Message, _load: Load) -> Decision:
    return Decision()


def system(*services: Service, accepted: dict[str, str] | None = None, **more: Any) -> System:
    named = {service.name: service for service in services}
    records = {link: Record(accepted=why) for link, why in (accepted or {}).items()}
    return System(named, Links().between(named), records, **more)


def decided(kind: LinkKind) -> Record:
    return Record(decided=Decided(kind=kind, outcome="crm", because="so", on=date(2026, 1, 1)))
