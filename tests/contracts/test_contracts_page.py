"""What a service says of its own contracts: a page for people, and the same for programs."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from stagepost.engine.contracts.fields import Line, lines_of
from stagepost.engine.contracts.page import body_of
from stagepost.engine.contracts.schema import UNIT, schema_of
from stagepost.engine.flow import Flow
from stagepost.messages import Event
from tests.contracts.documents import in_every_flow
from tests.engine.shop import SHOP, World


def page_of(service: str, flow: Flow) -> str:
    return body_of(flow.services[service], flow, "/schema/asyncapi.json")


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub("<[^>]*>", " ", page)).split())


@in_every_flow
def test_every_message_that_is_named_is_described(flow: Flow) -> None:
    for service in flow.services:
        page = page_of(service, flow)
        links = re.findall(r'href="#([^"]+)"', page)
        assert links == re.findall(r' id="([^"]+)"', page)
        assert len(links) == len(set(links))


def test_it_says_what_a_service_takes_sends_and_reads_and_no_more() -> None:
    page = page_of("notifications", Flow())
    assert re.findall(r'href="#([^"]+)"', page) == [
        "takes.notifications.SendWelcomeLetter",
        "sends.notifications.WelcomeLetterFailed",
        "sends.notifications.WelcomeLetterSent",
        "sends.notifications.NotificationSent",
        "reads.ordering.OrderConfirmed",
        "reads.ordering.OrderRejected",
    ]


def test_a_command_says_from_whom_it_comes_and_what_answers_it() -> None:
    text = text_of(page_of("payments", Flow()))
    assert (
        "command, version 1, key order_id , answered with PaymentDeclined or PaymentReceived"
        in text
    )
    assert "from fulfillment over nats: fulfillment.command.payments.RetrievePayment" in text
    assert "refusal, version 1, key order_id , answers RetrievePayment" in text
    assert "to fulfillment, operator over nats: payments.event.PaymentDeclined" in text
    assert "from operator over nats: EXTERNAL.{sender}.command.payments.RetrievePayment" in text


def test_a_transport_names_its_own_places() -> None:
    assert "from fulfillment over kafka: fulfillment" in text_of(
        page_of("payments", Flow(transports={"default": "kafka"}))
    )
    text = text_of(page_of("ordering", Flow("synchronous", {"default": "http"})))
    assert "from fulfillment over http: /commands of ordering" in text
    assert "to loyalty, notifications over http: /feed of ordering" in text


def test_names_in_prose_are_names_and_markup_in_it_is_text() -> None:
    class Odd(Event):
        """The `<b>` of it."""

        OWNER = "shop"
        order_id: str = Field(examples=["1"], description="Is <i>it</i> & `that`.")

    page = body_of(replace(SHOP, sends=(Odd,)), Flow(), "/schema/asyncapi.json")

    assert "<p>The <code>&lt;b&gt;</code> of it.</p>" in page
    assert "<td>Is &lt;i&gt;it&lt;/i&gt; &amp; <code>that</code>." in page


def test_what_nobody_reads_says_so() -> None:
    text = text_of(page_of("loyalty", Flow()))
    assert "to nobody in this flow over nats: loyalty.event.PointsAwarded" in text


async def test_the_page_and_its_document_are_served() -> None:
    async with World().served() as client:
        page = await client.get("/contracts")
        (document,) = re.findall(r'href="(/schema[^"]+)"', page.text)
        answer = await client.get(document)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Sells &lt;things&gt; &amp; more." in page.text
    assert answer.headers["content-type"] == "application/vnd.aai.asyncapi+json"
    assert (answer.json()["asyncapi"], answer.json()["info"]["title"]) == ("3.1.0", "shop")


# The fields.


class Colour(BaseModel):
    """A part of a message."""

    name: str = Field(examples=["red"])


class Painted(Event):
    """A message with every sort of field."""

    OWNER = "shop"
    order_id: Annotated[str, Field(pattern="^<.*$", min_length=1, max_length=1200)]
    grams: int = Field(ge=1, json_schema_extra={UNIT: "gram"}, description="What it weighs.")
    share: float | None = None
    sort: Literal["matt", "gloss"] = "matt"
    colours: tuple[Colour, ...] = Field(min_length=1)
    base: Colour


def test_a_field_is_told_in_words() -> None:
    assert list(lines_of(schema_of(Painted))) == [
        Line("order_id", "text, length 1 to 1,200, like ^<.*$", ""),
        Line("grams", "integer, at least 1", "What it weighs. Unit: gram."),
        Line("share", "number or null", "If left out: null."),
        Line("sort", '"matt" or "gloss"', 'If left out: "matt".'),
        Line("colours", "list, length at least 1", ""),
        Line("colours[].name", "text", ""),
        Line("base", "object", ""),
        Line("base.name", "text", ""),
    ]
