"""A stack of which not all services run: they listen to each other, and wait for nobody else."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from contracts import customers
from stagepost.engine.flow import Flow
from stagepost.engine.roles import Role
from stagepost.engine.stack import Stack
from stagepost.engine.stack.keys import issuer_of
from stagepost.engine.tokens import bearer
from tests.journeys.customer import Customer


async def test_who_commands_a_service_that_does_not_run_goes_on(tmp_path: Path) -> None:
    alone = Flow(only=frozenset({"customers"}))
    async with (
        Stack(tmp_path, flow=alone, say=lambda _: None) as stack,
        aiohttp.ClientSession(headers=stack.headers) as http,
    ):
        customer = Customer(http, stack)
        assert await customer.register("ada") == 201
        await customer.until_onboarding("ada", "AwaitingLetter")


async def test_who_joins_later_may_read_what_was_told_till_then(tmp_path: Path) -> None:
    alone = Flow(only=frozenset({"customers"}))
    async with (
        Stack(tmp_path, flow=alone, say=lambda _: None) as stack,
        aiohttp.ClientSession(headers=stack.headers) as http,
    ):
        assert await Customer(http, stack).register("ada") == 201
        as_loyalty = bearer(issuer_of(stack.passwords).token(Role.SERVICE, "loyalty", days=1))
        registered = f"/feed?types={customers.CustomerRegistered.TYPE}"
        async with http.get(stack.url("customers") + registered, headers=as_loyalty) as answer:
            assert answer.status == 200
            assert len(await answer.json(content_type=None)) == 1
