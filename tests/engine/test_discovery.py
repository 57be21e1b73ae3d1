"""Which services there are, in each style."""

from __future__ import annotations

import pytest

from stagepost.engine.discovery import find_services
from stagepost.engine.styles import CHOREOGRAPHED, ORCHESTRATED, STYLES, SYNCHRONOUS
from stagepost.errors import BadSettings
from stagepost.messages import Command

FLOW = ["ordering", "payments", "inventory", "shipping", "fulfillment"]
AROUND = ["customers", "loyalty", "notifications"]
"""Those that are the same in every style. Whoever adds one more need not name it here."""


def those_of_the_shop(style: str = ORCHESTRATED) -> list[str]:
    return [name for name in find_services(style) if name in {*FLOW, *AROUND}]


def test_orchestrated_is_what_is_meant_where_nothing_is_said() -> None:
    assert those_of_the_shop() == [*FLOW, *AROUND]
    assert find_services() == find_services(ORCHESTRATED)


def test_a_service_that_is_no_other_in_a_style_is_the_one_it_always_is() -> None:
    assert find_services(SYNCHRONOUS) == find_services(ORCHESTRATED)


def test_where_nobody_commands_there_is_no_fulfillment_and_of_orders_no_command() -> None:
    shop = find_services(CHOREOGRAPHED)

    assert those_of_the_shop(CHOREOGRAPHED) == [*FLOW[:-1], *AROUND]
    flow = [shop[name] for name in FLOW[:-1]]
    messages = {m for service in flow for m in (*service.sends, *service.reads)}
    assert not [message for message in messages if issubclass(message, Command)]


@pytest.mark.parametrize("style", STYLES)
def test_what_is_around_the_flow_is_the_same_in_every_style(style: str) -> None:
    shop, here = find_services(), find_services(style)

    assert [here[name] for name in AROUND] == [shop[name] for name in AROUND]


@pytest.mark.parametrize("style", STYLES)
def test_whatever_a_service_wants_to_hear_somebody_tells(style: str) -> None:
    shop = find_services(style)

    told = {message for service in shop.values() for message in service.sends}
    assert {message for service in shop.values() for message in service.reads} <= told


def test_an_unknown_style_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        BadSettings,
        match="no style 'improvised'; there are: orchestrated, synchronous, choreographed",
    ):
        find_services("improvised")
