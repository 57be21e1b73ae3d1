"""What every service of a running stack shows of its contracts."""

from __future__ import annotations

import json

import aiohttp

from stagepost.engine.contracts.asyncapi import describe
from stagepost.engine.stack import Stack


async def test_every_service_shows_its_part_of_the_flow_that_runs(stack: Stack) -> None:
    for name, service in stack.flow.services.items():
        async with aiohttp.ClientSession(stack.url(name)) as http:
            page = await (await http.get("/contracts")).text()
            document = await (await http.get("/schema/asyncapi.json")).text()

        assert f"<h1>{name}: contracts</h1>" in page
        assert json.loads(document) == describe(service, stack.flow)
