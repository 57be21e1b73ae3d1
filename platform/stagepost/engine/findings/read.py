"""Gathers what the rules look at: the services, the contracts, their code and stagepost.toml."""

from __future__ import annotations

from collections.abc import Iterator

from stagepost.engine.discovery import find_messages, find_services
from stagepost.engine.findings.code import find_reaches
from stagepost.engine.findings.values import System
from stagepost.engine.flow import Flow, all_links
from stagepost.engine.link_file import Record, read_links
from stagepost.engine.links import ARROW, DEFAULT, check_names
from stagepost.engine.styles import STYLES
from stagepost.messages import Message


def read_system(flow: Flow) -> System:
    """Gather what there is to know of the services in a flow.

    Raises:
        BadSettings: there is no such style, or stagepost.toml says what cannot be.
    """
    services = flow.services
    links = flow.links.between(services)
    everywhere = all_links()
    records = read_links()
    records.pop(DEFAULT, None)
    _check_records(records, everywhere)
    return System(
        services,
        links,
        records,
        everywhere - {link.name for link in links},
        list(_unspoken()),
        find_reaches({name: service.sql.parent for name, service in services.items()}),
    )


def all_services() -> list[str]:
    """Return the names of the services of all styles."""
    return list(dict.fromkeys(name for style in STYLES for name in find_services(style)))


def _check_records(records: dict[str, Record], everywhere: frozenset[str]) -> None:
    """Refuse links that are not there; one that is planned may be decided on before it is."""
    services = all_services()
    planned = {
        name
        for name, record in records.items()
        if record.decided and ARROW in name and set(name.split(ARROW)) <= set(services)
    }
    check_names(records, everywhere | planned, services)


def _unspoken() -> Iterator[type[Message]]:
    """Return what the contracts name and no service sends in any style."""
    sent = {
        m for style in STYLES for service in find_services(style).values() for m in service.sends
    }
    return (message for message in find_messages() if message not in sent)
