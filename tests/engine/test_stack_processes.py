"""What the stack starts is kept running, and ends with it, whatever becomes of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from stagepost.engine.stack import interruptible
from stagepost.engine.stack import processes as supervision
from stagepost.engine.stack.folder import held
from stagepost.engine.stack.processes import Group, Program, Supervisor
from stagepost.errors import StackError

PATIENCE = 30.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does; fail where it does not come about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # other processes set no events
            await asyncio.sleep(0.02)


class Sandbox:
    """A supervisor of Python scripts, and what it has said."""

    def __init__(self, folder: Path, group: Group) -> None:
        self.said: list[str] = []
        self.supervisor = Supervisor(group, self.said.append, lambda: None)
        self._folder = folder

    def program(self, script: str, name: str = "script") -> Program:
        """Return a program that creates the file `<name>.up` and then does as the script says."""
        up = f"import pathlib, signal, sys, time; pathlib.Path({str(self.up(name))!r}).touch()\n"
        command = (sys.executable, "-c", up + script)
        return Program(name, command, self._folder / f"{name}.log")

    def up(self, name: str = "script") -> Path:
        return self._folder / f"{name}.up"

    async def start(self, script: str, name: str = "script") -> None:
        async def ready() -> bool:
            return self.up(name).exists()

        await self.supervisor.start(self.program(script, name), ready)


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    with held(tmp_path / "data") as lock:
        group = Group(tmp_path / "sockets", lock)
        sandbox = Sandbox(tmp_path, group)
        watch = asyncio.create_task(sandbox.supervisor.watch())
        yield sandbox
        watch.cancel()
        await sandbox.supervisor.stop(["script", "unwell"], 1)
        await group.close()


async def test_a_process_that_was_killed_is_started_again(sandbox: Sandbox) -> None:
    await sandbox.start("time.sleep(600)")
    first = sandbox.supervisor["script"].pid
    sandbox.up().unlink()

    sandbox.supervisor["script"].kill()

    await until(sandbox.up().exists)
    assert sandbox.supervisor["script"].pid != first
    assert sandbox.said[0].startswith("script ended with SIGKILL")


async def test_the_pauses_grow_while_a_process_keeps_ending(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "PAUSES", (0.01, 0.02, 0.03))
    await sandbox.start("sys.exit(3)")

    await until(lambda: len(sandbox.said) >= 4)

    assert [line.split("again in ")[1] for line in sandbox.said[:4]] == [
        "0.01 s", "0.02 s", "0.03 s", "0.03 s",
    ]  # fmt: skip


async def test_a_process_that_cannot_start_says_why(sandbox: Sandbox) -> None:
    async def never() -> bool:
        return False

    cannot = sandbox.program("sys.exit('the disk is on fire')", "unwell")

    with pytest.raises(StackError, match=r"unwell ended with status 1.*\nthe disk is on fire"):
        await sandbox.supervisor.start(cannot, never)


async def test_a_process_gets_to_end_in_order(sandbox: Sandbox, tmp_path: Path) -> None:
    listening, done = tmp_path / "listening", tmp_path / "done"
    script = f"""
try:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    pathlib.Path({str(listening)!r}).touch()
    time.sleep(600)
finally:
    pathlib.Path({str(done)!r}).touch()
"""
    await sandbox.start(script)
    await until(listening.exists)

    await sandbox.supervisor.stop(["script"], PATIENCE)

    assert done.exists()
    assert sandbox.said == []


async def test_a_process_that_does_not_listen_is_killed(sandbox: Sandbox, tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    await sandbox.start(f"{ignore}; pathlib.Path({str(deaf)!r}).touch(); time.sleep(600)")
    await until(deaf.exists)
    process = psutil.Process(sandbox.supervisor["script"].pid)

    await sandbox.supervisor.stop(["script"], patience=0.1)

    assert not process.is_running()
    assert "it is killed" in sandbox.said[0]


STARTER = """
import sys
from pathlib import Path
from stagepost.engine.stack.folder import held
from stagepost.engine.stack.processes import Group, Program

folder = Path(sys.argv[1])
(folder / "sockets").mkdir()
deaf = "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600)"
with held(folder) as lock:
    group = Group(folder / "sockets", lock)
    for script in ("import time; time.sleep(600)", deaf):
        print(group.spawn(Program("x", (sys.executable, "-c", script), folder / "log")).pid)
    print("started", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has started two, one of which does not care for SIGINT."""
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as starter:
        yield starter
        starter.kill()


async def test_a_crash_leaves_no_process_behind(
    starter: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert starter.stdout
    pids = [int(line) for line in iter(starter.stdout.readline, "started\n")]
    family = [psutil.Process(pid) for pid in pids] + psutil.Process(starter.pid).children()

    starter.kill()

    await until(lambda: not any(_lives(process) for process in family))
    assert not (tmp_path / "sockets").exists()
    with held(tmp_path):
        pass  # and the folder can be used again


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


async def test_a_guard_that_was_killed_is_replaced(sandbox: Sandbox) -> None:
    await sandbox.start("time.sleep(600)")
    group = os.getpgid(sandbox.supervisor["script"].pid)

    def guards() -> set[int]:
        children = psutil.Process().children()
        return {child.pid for child in children if "guard.py" in " ".join(_command(child))}

    (first,) = [pid for pid in guards() if os.getpgid(pid) == group]
    os.kill(first, signal.SIGKILL)

    await until(lambda: any(p != first and os.getpgid(p) == group for p in guards()))


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []  # it has ended


# What asks the stack to end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_the_work_in_order(number: signal.Signals) -> None:
    ended = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), number)  # somebody is impatient
            await asyncio.sleep(0)
            ended.append("in order")

    assert await interruptible(work()) is None
    assert ended == ["in order"]


async def test_the_death_of_make_ends_the_work(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from stagepost.engine.stack import interruptible\n"
        "async def work():\n"
        "    pathlib.Path(sys.argv[1], 'up').touch()\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(interruptible(work()))\n"
        "pathlib.Path(sys.argv[1], 'ended').touch()\n"
    )
    recipe = f"up:\n\t@exec env STAGEPOST_PARENT=$$PPID '{sys.executable}' script.py .\n"
    (tmp_path / "script.py").write_text(script)
    (tmp_path / "Makefile").write_text(recipe)
    make = subprocess.Popen(["make", "up"], cwd=tmp_path)  # noqa: ASYNC220
    await until((tmp_path / "up").exists)

    make.kill()
    make.wait()

    await until((tmp_path / "ended").exists)
