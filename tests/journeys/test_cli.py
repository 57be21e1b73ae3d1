"""What an operator sees and does from the command line, on a running stack."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from stagepost.engine import operate
from stagepost.engine.batch import Batch, Commit, Handled
from stagepost.engine.discovery import find_services
from stagepost.engine.envelope import Envelope
from stagepost.engine.stack import Stack
from stagepost.engine.status import Standing, standings
from stagepost.errors import BadSettings
from tests.journeys.requests import constant_requests

_numbers = count(1)


@dataclass(frozen=True)
class Said:
    """What a command printed, and the status it ended with."""

    status: int | None
    out: str
    err: str


async def stagepost(*arguments: str, data: Path | None = None, folder: Path | None = None) -> Said:
    """Type a command, in a wide terminal, in a folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("STAGEPOST_")}
    env |= {"COLUMNS": "1000"} | ({"DATA": str(data)} if data else {})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stagepost", *arguments, env=env, stdout=-1, stderr=-1, cwd=folder
    )
    out, err = await process.communicate()
    return Said(process.returncode, out.decode(), err.decode())


@pytest.fixture
async def parked(stack: Stack) -> AsyncIterator[list[int]]:
    """Two messages to payments that no release can read: parked, and waiting behind it."""
    key = f"cli-{next(_numbers)}"
    async with operate.open_store(stack.data, "payments") as store:
        for _ in range(2):
            cause = Envelope(
                uuid4(), "payments.Unheard", 7, "command", "fulfillment", key, uuid4(), None, b"{}"
            )
            commit = Commit(cause, Handled.PARKED, "nobody knows this", parks=True)
            await store.append(Batch([commit]))
    letters = await operate.list_letters(stack.data, "payments")
    ids = [letter.id for letter in letters if letter.message.key == key]
    yield ids
    await operate.discard(stack.data, "payments", ids, "the test is over")


async def state_of(stack: Stack, letter: int) -> str | None:
    letters = await operate.list_letters(stack.data, "payments")
    return next((found.state for found in letters if found.id == letter), None)


# Status.


async def test_status_shows_who_leads_each_service_and_that_none_lags(stack: Stack) -> None:
    names = sorted(find_services())

    def is_at_rest(standing: Standing) -> bool:
        return standing.relay == standing.consumer == standing.views == standing.calls == 0

    async with asyncio.timeout(30):
        while not all(map(is_at_rest, found := await standings(stack.data))):
            await asyncio.sleep(0.05)

    assert sorted(standing.service for standing in found) == names
    for standing in found:
        assert standing.lease.holder == f"{standing.service}-1"
        assert standing.lease.expires_in > 0
        assert standing.lease.waiting == ()
        assert standing.instances == {f"{standing.service}-1": stack.pid(standing.service)}
        assert stack.url(standing.service).endswith(standing.where)


async def test_status_counts_dead_letters(stack: Stack, parked: list[int]) -> None:
    dead = {standing.service: standing.dead for standing in await standings(stack.data)}
    assert dead["payments"] == len(await operate.list_letters(stack.data, "payments")) >= 2


async def test_status_is_printed_as_a_table(stack: Stack) -> None:
    said = await stagepost("status", "--data", str(stack.data))
    assert said.status == 0
    heads, *rows = said.out.splitlines()
    assert heads.split()[:5] == ["service", "where", "instance", "pid", "lease"]
    shown = {row.split()[0]: row.split() for row in rows if row}
    assert shown["payments"][2:5] == ["payments-1", str(stack.pid("payments")), "leads"]


async def test_status_is_printed_as_json(stack: Stack) -> None:
    said = await stagepost("status", "--json", "--data", str(stack.data))
    assert said.status == 0
    shown = {standing["service"]: standing for standing in json.loads(said.out)}
    assert shown["ordering"]["lease"]["holder"] == "ordering-1"
    assert shown["ordering"]["instances"] == {"ordering-1": stack.pid("ordering")}


# A rolling restart, with one instance: who comes meanwhile waits in the socket.


async def test_a_restart_of_the_only_instance_fails_no_request(stack: Stack) -> None:
    before = stack.pid("shipping")
    async with constant_requests(f"{stack.url('shipping')}/health/live") as answers:
        said = await stagepost("restart", "shipping", data=stack.data)

    assert (said.status, said.out) == (0, "shipping-1 is back\n")
    assert stack.pid("shipping") != before
    assert len(answers) > 5
    assert set(answers) == {200}


async def test_who_waits_for_the_feed_holds_up_no_restart(stack: Stack) -> None:
    async with aiohttp.ClientSession(stack.url("shipping")) as http:
        async with http.get("/feed?limit=1") as page:
            end = page.headers["Stagepost-End"].partition(":")[2]
        waiting = [asyncio.create_task(http.get(f"/feed?after={end}&wait=30")) for _ in range(20)]
        await asyncio.sleep(0.3)
        began = asyncio.get_running_loop().time()

        said = await stagepost("restart", "shipping", data=stack.data)

        assert (said.status, said.out) == (0, "shipping-1 is back\n")
        pages = await asyncio.gather(*waiting)
        assert [(page.status, await page.read()) for page in pages] == [(200, b"[]")] * 20
        assert asyncio.get_running_loop().time() - began < 15


# Forgetting.


async def test_prune_says_what_was_forgotten(stack: Stack) -> None:
    said = await stagepost("prune", "payments", "--before", "2020-01-01", data=stack.data)
    assert said.status == 0
    assert said.out == (
        "forgot 0 messages that payments sent and 0 that it heard; its feed begins after 0\n"
    )


# Dead letters.


async def test_dead_letters_are_listed_with_their_reason(stack: Stack, parked: list[int]) -> None:
    said = await stagepost("dead-letters", "list", "payments", data=stack.data)
    assert said.status == 0
    shown = {row.split()[0]: row for row in said.out.splitlines()}
    assert "parked" in shown[str(parked[0])]
    assert "nobody knows this" in shown[str(parked[0])]
    assert "waiting" in shown[str(parked[1])]


async def test_a_service_without_dead_letters_says_so(stack: Stack) -> None:
    said = await stagepost("dead-letters", "list", "shipping", data=stack.data)
    assert (said.status, said.out) == (0, "shipping has no dead letters\n")


async def test_one_dead_letter_is_shown_in_full(stack: Stack, parked: list[int]) -> None:
    said = await stagepost("dead-letters", "show", "payments", str(parked[0]), data=stack.data)
    assert said.status == 0
    shown = dict(row.split(maxsplit=1) for row in said.out.splitlines() if row.strip())
    assert shown["type"].strip() == "payments.Unheard"
    assert shown["version"].strip() == "7"
    assert shown["body"].strip() == "{}"


async def test_a_redriven_letter_is_tried_again_by_the_service(
    stack: Stack, parked: list[int]
) -> None:
    said = await stagepost("dead-letters", "redrive", "payments", str(parked[0]), data=stack.data)
    assert (said.status, said.out) == (0, "1 to be handled again\n")
    assert await state_of(stack, parked[0]) in {"redrive", "parked"}
    waiting = await operate.redrive(stack.data, "payments", [parked[1]])
    assert waiting == 0


async def test_a_discarded_letter_is_gone(stack: Stack, parked: list[int]) -> None:
    said = await stagepost(
        "dead-letters", "discard", "payments", *map(str, parked), "--reason", "a test",
        data=stack.data,
    )  # fmt: skip
    assert (said.status, said.out) == (0, "2 given up\n")
    assert [await state_of(stack, letter) for letter in parked] == [None, None]


# What goes wrong.


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (("dead-letters", "list", "nowhere"), "there is no service 'nowhere'"),
        (("dead-letters", "show", "payments", "999999"), "no open dead letter 999999"),
        (("restart", "nowhere"), "there is no service 'nowhere'"),
        (("prune", "nowhere", "--before", "2020-01-01"), "there is no service 'nowhere'"),
        (("prune", "outside", "--before", "2020-01-01"), "outside has no store of ours"),
        (("prune", "payments", "--before", "2199-01-01"), "nothing younger than 24 hours"),
    ],
)
async def test_a_wrong_call_ends_with_2_and_says_what_is_wrong(
    stack: Stack, command: tuple[str, ...], complaint: str
) -> None:
    said = await stagepost(*command, data=stack.data)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("stagepost: ")
    assert complaint in said.err


async def test_where_nothing_runs_that_is_said(tmp_path: Path) -> None:
    said = await stagepost("status", data=tmp_path)
    assert said.status == 2
    assert f"no stack runs in {tmp_path}" in said.err
    with pytest.raises(BadSettings):
        await standings(tmp_path)


async def test_a_service_without_its_settings_does_not_start(tmp_path: Path) -> None:
    said = await stagepost("run", "payments", data=tmp_path)
    assert said.status == 2
    assert "STAGEPOST_DATABASE" in said.err
    assert "Traceback" not in said.err


async def test_what_cannot_be_reached_ends_with_1() -> None:
    said = await stagepost("migrate", "payments", "--dsn", "postgresql://127.0.0.1:1/none")
    assert said.status == 1
    assert said.err.startswith("stagepost: cannot connect to the database")


# Migrations.


async def test_migrate_finds_the_database_of_the_running_stack(stack: Stack) -> None:
    said = await stagepost("migrate", "payments", data=stack.data)
    assert (said.status, said.out) == (0, "nothing to do\n")


async def test_migrate_without_a_stack_or_a_database_says_what_it_needs(tmp_path: Path) -> None:
    said = await stagepost("migrate", "payments", data=tmp_path)
    assert said.status == 2
    assert str(tmp_path) in said.err or "--dsn" in said.err


# Links.


async def test_links_are_shown_beside_what_ran(stack: Stack) -> None:
    said = await stagepost("links", "--observed", "--json", data=stack.data)
    assert said.status == 0
    found = json.loads(said.out)
    assert all(list(row) == ["from", "message", "to", "heard", "remark"] for row in found)
    links = {(row["from"], row["message"], row["to"]) for row in found}
    assert ("ordering", "ordering.OrderPlaced", "fulfillment") in links
