"""Opens what a service's links need: connections to brokers, feeds, recipients of commands."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from stagepost.engine.answers import WAIT_SECONDS
from stagepost.engine.flow import Flow
from stagepost.engine.links import routes_of
from stagepost.engine.network import Network
from stagepost.engine.recipients import NoRecipients, Recipients
from stagepost.engine.recipients_http import HttpRecipients
from stagepost.engine.service import Service
from stagepost.engine.settings import Settings
from stagepost.engine.transport_names import HTTP, KAFKA, NATS
from stagepost.engine.transports import NoWords, Transport, Words
from stagepost.engine.transports.feed import FeedTransport
from stagepost.engine.transports.nats import NatsTransport
from stagepost.errors import BadSettings

if TYPE_CHECKING:
    from stagepost.engine.transports.kafka import KafkaTransport

T = TypeVar("T")


def open_network(
    service: Service, flow: Flow, settings: Settings, exits: AsyncExitStack
) -> Network:
    """Return what a service reaches the others with; `exits` closes it.

    Raises:
        BadSettings: a link needs what no setting says.
    """
    routes = routes_of(service, flow.services, flow.links)
    transports: dict[str, Transport] = {}
    words: Words = NoWords()
    if NATS in routes.transports or routes.hears_outside or settings.nats_url is not None:
        # Words between instances go over NATS wherever it is, whatever the links are.
        words = nats = _nats(service, settings)
        exits.push_async_callback(nats.close)
        if NATS in routes.transports or routes.hears_outside:
            transports[NATS] = nats
    if KAFKA in routes.transports:
        transports[KAFKA] = kafka = _kafka(service, settings)
        exits.push_async_callback(kafka.close)
    if HTTP in routes.transports:
        transports[HTTP] = feeds = FeedTransport(settings.services)
        exits.push_async_callback(feeds.close)
    recipients: Recipients = NoRecipients()
    if routes.posts:
        # A recipient may keep us waiting that long before it says that it has no answer yet.
        recipients = HttpRecipients(settings.services, settings.call_timeout + WAIT_SECONDS)
        exits.push_async_callback(recipients.close)
    return Network(transports, words, recipients, flow.links, routes.hears_outside)


def _nats(service: Service, settings: Settings) -> NatsTransport:
    url = _needed(settings.nats_url, "STAGEPOST_NATS_URL")
    return NatsTransport(url.get_secret_value(), service.name)


def _kafka(service: Service, settings: Settings) -> KafkaTransport:
    # It may not be installed.
    from stagepost.engine.transports.kafka import KafkaTransport  # noqa: PLC0415
    from stagepost.engine.transports.kafka_client import read_properties  # noqa: PLC0415

    return KafkaTransport(
        partial(read_properties, _needed(settings.kafka, "STAGEPOST_KAFKA")), service.name
    )


def _needed(value: T | None, name: str) -> T:
    if value is None:
        raise BadSettings(f"cannot start: links of this service need {name}")
    return value
