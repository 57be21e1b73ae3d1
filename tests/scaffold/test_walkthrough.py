"""The walk-through is typed as it stands, from a clean checkout to an order that is rejected."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stagepost.engine.findings.read import read_system
from stagepost.engine.flow import Flow
from tests.experiments.checkout import IS_WALKED, Copy, changed
from tests.scaffold.document import Changes, Typed, Whole, steps

WALKTHROUGHS = Path(__file__).parents[2] / "platform/walkthroughs"
PAGES = ("criminal-check.md", "criminal-check-asked.md")
DOCUMENT = "".join((WALKTHROUGHS / page).read_text() for page in PAGES)
IS_BEGUN = IS_WALKED or any(read_system(Flow()).unspoken)
pytestmark = pytest.mark.skipif(IS_BEGUN, reason="it begins in a checkout as it was cloned")
UP = Typed("stagepost up")
CLONED = "git init -q; git add .; git -c user.name=us -c user.email=us@example.org commit -qm all"
ENDED = re.compile(r'"status":\s*"rejected"')


@dataclass
class Reader:
    """Somebody who types what a document says, in a copy of the checkout."""

    copy: Copy
    said: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What `make installed` would make; it is ours already, and must stay as it is.
        (self.copy.folder / ".venv").symlink_to(sys.prefix)

    @property
    def env(self) -> dict[str, str]:
        folder, programs = self.copy.folder, Path(sys.executable).parent
        return {
            **os.environ,
            **self.kept,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": f"{folder / 'platform'}:{folder}",
        }

    async def does(self, step: Typed | Whole | Changes) -> None:
        if isinstance(step, Typed):
            await self.types(step.command)
        else:
            step.type_in(self.copy.folder)

    async def types(self, command: str) -> str:
        script = command.replace("make ", "make -o installed ")
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euc", script),
            cwd=self.copy.folder,
            env=self.env,
            stdout=PIPE,
            stderr=STDOUT,
        )
        told, _ = await process.communicate()
        self.said[command] = told.decode()
        assert process.returncode == 0, f"{command}\n{told.decode()}"
        return told.decode()

    async def sets(self, command: str) -> None:
        """Type what the shell keeps in a variable."""
        name, _, _ = command.partition("=")
        self.kept[name] = await self.types(f'{command}; printf %s "${name}"')

    async def starts(self, command: str) -> asyncio.subprocess.Process:
        """Type what runs until Ctrl-C, and wait until it is ready."""
        process = await asyncio.create_subprocess_exec(
            *command.split(),
            cwd=self.copy.folder,
            env=self.env,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        told = []
        async for line in process.stdout:
            told.append(line.decode())
            if "Ready;" in told[-1]:
                return process
        raise AssertionError(f"{command} ended before it was ready:\n{''.join(told)}")

    def with_its_port(self, command: str) -> str:
        """Return a command with the ports that were free instead of the usual ones."""
        state = json.loads((self.copy.folder / ".stagepost/stack.json").read_text())
        ports = [service["port"] for service in state["services"].values()]
        usual = {str(8001 + place): str(port) for place, port in enumerate(ports)}
        return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda port: usual[port[0]], command)


@pytest.fixture(scope="module")
async def reader() -> AsyncIterator[Reader]:
    """Somebody who has typed all that comes before the stack is started."""
    with changed() as copy:
        somebody = Reader(copy)
        await somebody.types(CLONED)
        for step in steps(DOCUMENT):
            if step == UP:
                break
            await somebody.does(step)
        yield somebody


async def test_what_was_typed_leaves_nothing_for_check_to_find(reader: Reader) -> None:
    assert "vetting" not in reader.said["stagepost check"]
    assert 'fulfillment -- "VetCustomer" --> vetting' in reader.said["stagepost links --mermaid"]


async def test_a_flagged_customer_is_rejected_and_never_asked_for_money(reader: Reader) -> None:
    every = list(steps(DOCUMENT))
    who, *asked, trace = every[every.index(UP) + 1 :]
    assert isinstance(who, Typed)
    assert isinstance(trace, Typed)
    running = await reader.starts(UP.command)
    try:
        await reader.sets(who.command)
        for step in asked:
            assert isinstance(step, Typed)
            told = await reader.types(reader.with_its_port(f"{step.command} --fail-with-body"))
        async with asyncio.timeout(30):
            while not ENDED.search(told):
                told = await reader.types(reader.with_its_port(step.command))
        assert "customer: on a list" in told
        told = await reader.types(trace.command)
        assert "CustomerFlagged" in told
        assert "RetrievePayment" not in told
    finally:
        running.send_signal(signal.SIGINT)
        await running.wait()
