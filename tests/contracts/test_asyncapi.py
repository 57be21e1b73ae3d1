"""The AsyncAPI documents: that they hold together, and say what is really on the wires."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from jsonschema_rs import Draft7Validator

from contracts import ordering, payments
from stagepost.engine.contracts.asyncapi import describe
from stagepost.engine.contracts.ways import channel_of
from stagepost.engine.contracts.wires import FEED, PREFIXES, envelope_on, example_on
from stagepost.engine.flow import Flow
from stagepost.engine.recipients_http import PATH
from stagepost.engine.transports.nats_provision import subject_from
from stagepost.engine.transports.nats_rules import sender_rights
from stagepost.errors import BadSettings
from stagepost.messages import Event
from tests.contracts.documents import documents, found_at, in_every_flow, refs_in
from tests.engine.shop import SHOP

# They hold together.


@in_every_flow
def test_every_reference_leads_somewhere(flow: Flow) -> None:
    for document in documents(flow).values():
        for ref in refs_in(document):
            found_at(document, ref)


@in_every_flow
def test_an_operation_and_its_reply_speak_of_messages_of_their_channels(flow: Flow) -> None:
    for document in documents(flow).values():
        for operation in document["operations"].values():
            for part in (operation, operation.get("reply", operation)):
                of_channel = f"{part['channel']['$ref']}/messages/"
                assert part["messages"]
                assert all(each["$ref"].startswith(of_channel) for each in part["messages"])


@in_every_flow
def test_what_one_sends_the_other_receives_on_the_same_channel(flow: Flow) -> None:
    every = documents(flow)
    for name, document in every.items():
        for operation in document["operations"].values():
            if operation["action"] == "send":
                for reader in operation["x-recipients"]:
                    assert name in _from(every[reader], operation)


def _from(document: dict[str, Any], sent: dict[str, Any]) -> list[str]:
    """Return from whom a service hears what another sends: on that channel, in that message."""
    return [
        sender
        for operation in document["operations"].values()
        if operation["action"] == "receive"
        and (operation["channel"], operation["messages"]) == (sent["channel"], sent["messages"])
        for sender in operation["x-senders"]
    ]


@in_every_flow
def test_both_ends_of_a_command_name_the_same_answers(flow: Flow) -> None:
    every = documents(flow)
    for link in flow.links.between(flow.services):
        if link.kind == "command":
            sent, received = (
                [
                    operation["reply"]
                    for operation in every[name]["operations"].values()
                    if operation["title"] == link.message.__name__
                    and link_end in operation.get(others, ())
                ]
                for name, link_end, others in (
                    (link.sender, link.reader, "x-recipients"),
                    (link.reader, link.sender, "x-senders"),
                )
            )
            assert len(sent) == 1
            assert sent == received


@in_every_flow
def test_an_example_is_one_message_of_its_channel_and_no_other(flow: Flow) -> None:
    for document in documents(flow).values():
        for channel in document["channels"].values():
            refs = {name: message["$ref"] for name, message in channel["messages"].items()}
            messages = {name: found_at(document, ref) for name, ref in refs.items()}
            judges = {name: judge_of(document, message) for name, message in messages.items()}
            for name, message in messages.items():
                (example,) = message["examples"]
                assert [n for n, judge in judges.items() if judge.is_valid(example)] == [name]


def judge_of(document: dict[str, Any], message: dict[str, Any]) -> Draft7Validator:
    """Return what tells whether headers and payload are those of a message."""
    parts = {part: message[part] for part in ("headers", "payload") if part in message}
    schema = {"properties": parts, "required": [*parts], "components": document["components"]}
    return Draft7Validator(schema)


# What they say is on the wires.


@in_every_flow
def test_addresses_are_those_that_readers_ask_for(flow: Flow) -> None:
    services = flow.services
    for link in flow.links.between(services):
        address = channel_of(link).address_of(link.message)
        match link.transport:
            case "nats":
                assert address == subject_from(services[link.sender], link.message)
            case "kafka":
                assert address == link.sender  # a topic is called as its source
            case "http":
                assert address == ("/feed" if link.kind == "event" else PATH)


@pytest.mark.parametrize("wire", PREFIXES)
def test_every_attribute_on_a_wire_is_described(wire: str) -> None:
    message = ordering.OrderPlaced if wire == FEED else payments.RetrievePayment
    headers, payload = example_on(wire, message, "fulfillment")
    written = {**headers} or payload[0]

    described = envelope_on(wire)["properties"].keys()

    assert described - written.keys() <= {"ce_previous", "recipient"}
    assert written.keys() - described <= {"data"}


def test_a_command_says_who_sends_it_where_it_lies_and_how_it_is_answered() -> None:
    document = documents(Flow())["payments"]

    operation = document["operations"]["receive.payments.RetrievePayment.nats.fulfillment"]
    channel = found_at(document, operation["channel"]["$ref"])
    replies = operation["reply"]

    assert (operation["action"], operation["x-senders"]) == ("receive", ["fulfillment"])
    assert channel["address"] == "fulfillment.command.payments.{type}"
    assert channel["parameters"]["type"]["enum"] == ["RefundPayment", "RetrievePayment"]
    assert found_at(document, replies["channel"]["$ref"])["address"] == "payments.event.{type}"
    names = [ref["$ref"].rpartition("/")[2] for ref in replies["messages"]]
    assert names == ["payments.PaymentDeclined", "payments.PaymentReceived"]


def test_over_http_the_answer_comes_on_the_channel_of_the_command() -> None:
    document = documents(Flow("synchronous"))["payments"]

    operation = document["operations"]["receive.payments.RetrievePayment.http.payments"]

    assert operation["bindings"] == {"http": {"method": "POST"}}
    assert operation["reply"]["channel"] == operation["channel"]


def test_who_commands_from_outside_finds_where_to_write_and_where_the_answers_lie() -> None:
    flow = Flow(external={"webshop": ("payments.RetrievePayment",)})
    document = documents(flow)["payments"]
    allowed = sender_rights("webshop", flow.external["webshop"], flow.services.values())

    retrieve, refund = (
        document["operations"][f"receive.payments.{name}.nats.EXTERNAL"]
        for name in ("RetrievePayment", "RefundPayment")
    )
    channel = found_at(document, retrieve["channel"]["$ref"])
    address = channel["address"].replace("{type}", "RetrievePayment")

    assert (retrieve["x-senders"], refund["x-senders"]) == (["operator", "webshop"], ["operator"])
    assert channel["parameters"]["sender"]["enum"] == ["operator", "webshop"]
    assert address.replace("{sender}", "webshop") in allowed.uses
    assert len(retrieve["reply"]["messages"]) == 2
    assert found_at(document, retrieve["reply"]["channel"]["$ref"])["address"] == (
        "payments.event.{type}"
    )


def test_what_nothing_brings_in_from_outside_is_not_said_to_be() -> None:
    document = documents(Flow(transports={"default": "kafka"}))["payments"]
    assert document["channels"].keys() == {"kafka.payments", "kafka.fulfillment"}


def test_what_nobody_reads_is_sent_all_the_same() -> None:
    document = documents(Flow())["fulfillment"]
    operation = document["operations"]["send.fulfillment.FulfillmentOverdue.nats.fulfillment"]
    assert operation["x-recipients"] == []


def test_a_message_without_an_example_is_said_by_name() -> None:
    class Mute(Event):
        OWNER = "shop"
        order_id: str

    with pytest.raises(BadSettings, match=r"shop\.Mute has no example"):
        describe(replace(SHOP, sends=(Mute,)), Flow())
