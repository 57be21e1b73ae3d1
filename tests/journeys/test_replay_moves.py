"""What a person types to move a store: an export into an empty folder, where a stack goes on."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stagepost.engine.stack import Stack
from tests.journeys.test_cli import Said
from tests.journeys.test_replay_views import orders_flow, typed


async def in_a_shell(line: str) -> Said:
    """Type a line with pipes and redirections."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("STAGEPOST_")}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    process = await asyncio.create_subprocess_shell(
        line, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    return Said(process.returncode, out.decode(), err.decode())


async def test_a_store_that_is_written_to_goes_on_in_another_stack(stack: Stack) -> None:
    with TemporaryDirectory(prefix="stagepost tests ", dir="/tmp") as folder:
        there = f"--data '{folder}/new'"
        lines = f"'{folder}/inventory.jsonl'"
        async with orders_flow(stack):
            left = await in_a_shell(f"stagepost export inventory --data '{stack.data}' > {lines}")
        came = await in_a_shell(f"stagepost import inventory {there} < {lines}")
        again = await in_a_shell(f"stagepost import inventory {there} < {lines}")
        async with Stack(Path(folder, "new"), say=lambda _: None) as new:
            was = await typed(stack, "events", "inventory")
            now = await typed(new, "events", "inventory")
            async with asyncio.timeout(30):
                while any(one["lag"] for one in await typed(new, "views")):
                    await asyncio.sleep(0.2)
            verified = await typed(new, "verify")

    assert (left.status, came.status, again.status) == (0, 0, 1), (left, came, again)
    assert left.err.replace("exported", "imported").rstrip() in came.err
    assert "the store of inventory is not empty" in again.err
    alike = ("position", "recorded_at", "stream", "version", "topic", "data")
    assert now
    assert [[one[name] for name in alike] for one in now] == [
        [one[name] for name in alike] for one in was[: len(now)]
    ]
    assert verified["equal"]


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("echo hello | stagepost import payments --data {new}", 1, "line 1 is damaged"),
        ("stagepost import paymets --data {new} < /dev/null", 2, "there are: ordering, payments,"),
        ("stagepost export paymets --data {data}", 2, "did you mean payments"),
    ],
)
async def test_what_is_no_export_or_no_service_leaves_nothing(
    stack: Stack, tmp_path: Path, line: str, status: int, said: str
) -> None:
    new = tmp_path / "new"
    found = await in_a_shell(line.format(new=new, data=f"'{stack.data}'"))
    assert (found.status, found.out) == (status, "")
    assert said in found.err
    assert not new.exists()


async def test_who_reads_no_further_ends_an_export_in_silence(stack: Stack) -> None:
    line = f"(stagepost export inventory --data '{stack.data}'; echo $? >&2) | true"
    assert (await in_a_shell(line)).err == "141\n"
