"""Links: derived from what services declare, and over which transport each of them goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from contracts import ordering, payments
from stagepost import Decision, Load
from stagepost.engine.discovery import find_services
from stagepost.engine.links import Link, Links, relay_name, routes_of
from stagepost.engine.service import Service
from stagepost.engine.transport_names import HTTP, KAFKA, NATS
from stagepost.errors import BadSettings
from stagepost.messages import Command, Event, Message

SHOP = find_services()
ORDERED = ("inventory", "ordering", "payments", "shipping")


def links_of(links: Links, services: Mapping[str, Service] = SHOP) -> dict[str, Link]:
    """Return links by sender, reader and message."""
    return {
        f"{link.sender}->{link.reader} {link.message.__name__}": link
        for link in links.between(services)
    }


def note(_message: Message, _: Load) -> Decision:
    return Decision()


# What a link is.


def test_a_command_a_question_s_answer_and_an_event_are_told_apart() -> None:
    found = links_of(Links())
    assert found["fulfillment->payments RetrievePayment"].kind == "command"
    assert found["payments->fulfillment PaymentReceived"].kind == "answer"
    assert found["ordering->fulfillment OrderPlaced"].kind == "event"


def test_an_answer_that_its_reader_did_not_ask_for_is_an_event() -> None:
    found = links_of(Links(), find_services("choreographed"))
    assert found["payments->inventory PaymentReceived"].kind == "event"
    asked = {link.reader for link in found.values() if link.kind == "answer"}
    assert asked == {"customers"}


def test_who_commands_knows_the_recipient_and_owns_the_outcome() -> None:
    command = links_of(Links())["fulfillment->payments RetrievePayment"]
    assert command.depends == ("fulfillment", "payments")
    assert command.outcome == "fulfillment"


def test_of_an_event_the_reader_knows_the_sender_and_owns_what_comes_of_it() -> None:
    event = links_of(Links())["ordering->fulfillment OrderPlaced"]
    assert event.depends == ("fulfillment", "ordering")
    assert event.outcome == "fulfillment"


def test_every_command_has_one_link_to_its_owner() -> None:
    commands = [link for link in Links().between(SHOP) if issubclass(link.message, Command)]
    assert len({link.message for link in commands}) == len(commands)
    assert all(link.reader == link.message.OWNER for link in commands)


# Over which transport.


def test_all_goes_over_nats_where_nothing_is_said() -> None:
    assert {link.transport for link in Links().between(SHOP)} == {NATS}


def test_the_default_is_of_all_links_that_name_none() -> None:
    links = Links.read({"default": KAFKA, "fulfillment->payments": NATS})
    found = links_of(links)
    assert found.pop("fulfillment->payments RetrievePayment").transport == NATS
    assert found.pop("fulfillment->payments RefundPayment").transport == NATS
    assert {link.transport for link in found.values()} == {KAFKA}


def test_where_services_are_synchronous_commands_and_their_answers_go_over_http() -> None:
    for link in Links(commands=HTTP).between(SHOP):
        assert (link.transport == HTTP) == (link.kind != "event"), link


def test_a_named_link_goes_before_what_is_said_of_commands() -> None:
    found = links_of(Links.read({"fulfillment->payments": NATS}, commands=HTTP))
    assert found["fulfillment->payments RetrievePayment"].transport == NATS
    assert found["payments->fulfillment PaymentReceived"].transport == NATS
    assert found["fulfillment->shipping ShipGoods"].transport == HTTP
    assert found["shipping->fulfillment GoodsShipped"].transport == HTTP


def test_answers_to_commands_over_http_come_with_them_whatever_the_way_back_is() -> None:
    named = {"fulfillment->payments": HTTP, "payments->fulfillment": KAFKA}
    found = links_of(Links.read(named))
    assert found["payments->fulfillment PaymentReceived"].transport == HTTP


def test_what_also_answers_a_command_over_http_comes_with_it() -> None:
    """An order that is confirmed answers who wants it rejected, and never asked for the other."""
    handlers = {ordering.OrderConfirmed: note, ordering.OrderRejected: note}
    boss = Service("boss", "Asks.", 0, Path(), handlers, sends=(ordering.RejectOrder,))
    found = links_of(Links(commands=HTTP), {"ordering": SHOP["ordering"], "boss": boss})
    for answer in ("OrderConfirmed", "OrderRejected"):
        link = found[f"ordering->boss {answer}"]
        assert (link.kind, link.transport) == ("answer", HTTP)


def test_blanks_around_the_arrow_change_nothing() -> None:
    found = links_of(Links.read({" fulfillment -> payments ": HTTP}))
    assert found["fulfillment->payments RetrievePayment"].transport == HTTP


# What is refused, and what that says.


def test_an_unknown_transport_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadSettings, match="cannot be 'pigeon': there are nats, kafka, http"):
        Links.read({"fulfillment->payments": "pigeon"})


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("fulfilment->payments", "'fulfilment' that does not run: did you mean fulfillment?"),
        ("fulfillment->bank", "'bank' that does not run: there are ordering, payments"),
        ("payments->shipping", "payments sends nothing to shipping: there are customers->"),
        ("payments", "'payments' is no link: write it as sender->reader"),
    ],
)
def test_a_link_that_is_not_there_is_refused_and_says_what_is(named: str, said: str) -> None:
    with pytest.raises(BadSettings) as refused:
        Links.read({named: HTTP}).between(SHOP)
    assert said in str(refused.value)
    with pytest.raises(BadSettings):
        routes_of(SHOP["payments"], SHOP, Links.read({named: HTTP}))


# What follows for one service.


def test_routes_over_a_broker_publish_all_and_post_nothing() -> None:
    routes = routes_of(SHOP["fulfillment"], SHOP, Links())
    assert routes.posts == frozenset()
    assert routes.publishes == {NATS: frozenset(m.TYPE for m in SHOP["fulfillment"].sends)}
    assert routes.transports == {NATS}
    assert sorted(routes.reads[NATS]) == sorted(ORDERED)


def test_a_synchronous_sender_posts_and_reads_events_only() -> None:
    routes = routes_of(SHOP["fulfillment"], SHOP, Links(commands=HTTP))
    assert routes.posts == frozenset(ORDERED)
    assert routes.publishes == {NATS: frozenset({"fulfillment.FulfillmentOverdue"})}
    assert {n: sorted(types) for n, types in routes.reads[NATS].items()} == {
        "ordering": ["ordering.OrderCancellationRequested", "ordering.OrderPlaced"]
    }


def test_a_synchronous_recipient_reads_no_command_from_a_broker() -> None:
    routes = routes_of(SHOP["payments"], SHOP, Links(commands=HTTP))
    assert routes.reads == {}
    assert routes.posts == frozenset()


def test_an_event_that_nobody_reads_is_published_all_the_same() -> None:
    routes = routes_of(SHOP["fulfillment"], SHOP, Links(commands=HTTP))
    assert "fulfillment.FulfillmentOverdue" in routes.publishes[NATS]


def test_each_broker_gets_what_its_readers_take_and_no_more() -> None:
    routes = routes_of(SHOP["fulfillment"], SHOP, Links.read({"fulfillment->payments": KAFKA}))
    assert routes.publishes[KAFKA] == {"payments.RetrievePayment", "payments.RefundPayment"}
    assert routes.publishes[NATS].isdisjoint(routes.publishes[KAFKA])
    reader = routes_of(SHOP["payments"], SHOP, Links.read({"fulfillment->payments": KAFKA}))
    assert set(reader.reads) == {KAFKA}


def test_two_readers_of_one_event_may_take_it_over_two_brokers() -> None:
    class Told(Event):
        OWNER, KEY = "teller", "name"
        name: str

    def service(name: str, **more: object) -> Service:
        return replace(Service(name, "", 0, Path()), **more)  # type: ignore[arg-type]

    teller = service("teller", sends=(Told,))
    services = {
        "teller": teller,
        "one": service("one", handlers={Told: note}),
        "two": service("two", handlers={Told: note}),
    }
    routes = routes_of(teller, services, Links.read({"teller->two": KAFKA}))
    assert routes.publishes == {NATS: {"teller.Told"}, KAFKA: {"teller.Told"}}


def test_who_does_not_run_is_not_listened_to() -> None:
    alone = routes_of(SHOP["fulfillment"], {}, Links())
    assert alone.reads == {}


def test_the_relay_to_nats_keeps_the_name_it_always_had() -> None:
    assert (relay_name(NATS), relay_name(KAFKA)) == ("relay", "relay kafka")


def test_messages_of_the_sample_have_the_owners_that_links_lead_to() -> None:
    assert (payments.RetrievePayment.OWNER, ordering.ConfirmOrder.OWNER) == (
        "payments",
        "ordering",
    )
