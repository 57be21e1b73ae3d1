"""Senders from outside are declared in stagepost.toml, or in the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stagepost.engine.external_file import read_senders
from stagepost.engine.flow import Flow, read_flow
from stagepost.engine.link_file import Decided, read_links
from stagepost.engine.link_write import write_decision
from stagepost.engine.links import Links, routes_of
from stagepost.engine.transport_names import HTTP, NATS
from stagepost.errors import BadSettings

WEBSHOP = '[external]\nwebshop = ["payments.RetrievePayment"]\n'


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STAGEPOST_LINKS", "STAGEPOST_EXTERNAL"):
        monkeypatch.delenv(name, raising=False)


def write(text: str) -> None:
    Path("stagepost.toml").write_text(text)


def test_nobody_is_declared_where_nothing_is_said() -> None:
    assert read_senders() == {}


def test_a_sender_is_declared_beside_the_links() -> None:
    write(f'[links]\ndefault = "nats"\n\n{WEBSHOP}')
    assert read_senders() == {"webshop": ("payments.RetrievePayment",)}
    assert list(read_links()) == ["default"]
    assert read_flow("orchestrated").external == {"webshop": ("payments.RetrievePayment",)}


def test_what_is_declared_stays_where_a_decision_is_written() -> None:
    write(WEBSHOP)
    decided = {"kind": "command", "outcome": "fulfillment", "because": "so", "on": "2026-11-23"}
    write_decision("fulfillment->payments", Decided.model_validate(decided), None)
    assert read_senders() == {"webshop": ("payments.RetrievePayment",)}


def test_what_the_environment_says_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write(WEBSHOP)
    monkeypatch.setenv("STAGEPOST_EXTERNAL", json.dumps({"till": ["payments.RefundPayment"]}))
    assert read_senders() == {"till": ("payments.RefundPayment",)}


def test_other_senders_make_no_other_flow() -> None:
    more = Flow(external={"webshop": ("payments.RetrievePayment",)})
    assert more.is_as(Flow())
    assert more == Flow()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("external = 7", "must name senders, each with a list of commands"),
        ("[external]\nwebshop = []", "'webshop' must list commands"),
        ('[external]\nwebshop = "payments.RetrievePayment"', "'webshop' must list commands"),
        (
            '[external]\nwebshop = ["payments.RetrievPayment"]',
            "there is no command 'payments.RetrievPayment'; did you mean payments.RetrievePayment",
        ),
        ('[external]\nwebshop = ["payments.PaymentReceived"]', "there is no command 'payments.P"),
        ("[external]\nwebshop = [7]", "there is no command '7'"),
        ('[external]\n"Web shop" = ["payments.RetrievePayment"]', "lower-case letters"),
        ('[external]\n"a.b" = ["payments.RetrievePayment"]', "lower-case letters"),
        ('[external]\npayments = ["payments.RetrievePayment"]', "there is one already"),
        ('[external]\noperator = ["payments.RetrievePayment"]', "there is one already"),
        ('[external]\nadmin = ["payments.RetrievePayment"]', "there is one already"),
        ('[outside]\nwebshop = ["x"]', "has a table 'outside': there are only [links] and [ext"),
    ],
)
def test_what_cannot_be_declared_is_refused_with_its_place(text: str, said: str) -> None:
    write(text)
    with pytest.raises(BadSettings) as refused:
        read_flow("orchestrated")
    assert "stagepost.toml" in str(refused.value)
    assert said in str(refused.value)


def test_an_environment_that_is_no_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEPOST_EXTERNAL", "webshop")
    with pytest.raises(BadSettings, match="STAGEPOST_EXTERNAL is no JSON"):
        read_senders()


# What follows from it for the routes.

ASKS = {"webshop": ("payments.RetrievePayment",)}


def test_the_answers_go_over_nats_also_where_services_fetch_theirs_over_http() -> None:
    services = Flow("synchronous").services
    alone = routes_of(services["payments"], services, Links(commands=HTTP))
    assert alone.publishes == {}

    asked = routes_of(services["payments"], services, Links(commands=HTTP, external=ASKS))

    assert asked.publishes == {NATS: {"payments.PaymentReceived", "payments.PaymentDeclined"}}


@pytest.mark.parametrize(
    ("service", "links", "hears"),
    [
        ("payments", Links(), True),
        ("loyalty", Links(), False),
        ("payments", Links(commands=HTTP), True),
        ("payments", Links(HTTP), False),
        ("payments", Links("kafka", external=ASKS), False),
        ("payments", Links("kafka", chosen={"fulfillment->payments": NATS}), True),
    ],
)
def test_who_is_commanded_hears_those_outside_where_nats_reaches_it(
    service: str, links: Links, *, hears: bool
) -> None:
    services = Flow().services
    routes = routes_of(services[service], services, links)
    assert routes.hears_outside is hears
