"""A stack of which not all services run: they listen to each other, and wait for nobody else."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from stagepost.engine.flow import Flow
from stagepost.engine.stack import Stack
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
