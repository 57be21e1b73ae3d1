"""Processes: started in one guarded group, started again when they end, ended in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stagepost.engine.stack import guard
from stagepost.errors import StackError

LOOK = 0.05
"""Seconds between two looks at what is awaited: a process's end, or that it is ready."""
WATCH = 0.2
"""Seconds between two looks at what runs: what ends is started again so much later at most."""
START = 60.0
"""Seconds that a process gets to become ready."""
STEADY = 10.0
"""Seconds after which a process counts as running well: its next end is its first again."""
PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds before a process is started again, by how often it ended since it last ran well."""


@dataclass(frozen=True)
class Program:
    """What to run: its command and surroundings, and the signal that asks it to end in order.

    `account` is the user and the group to run it as, where that is not ourselves.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    sockets: tuple[int, ...] = ()
    account: tuple[int, int] | None = None
    stop: signal.Signals = signal.SIGTERM


class Group:
    """The process group of all that is started here, with the guard that ends it after us.

    `folder` is removed at the end, and `lock` is held until then.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder = folder
        self._lock = lock
        self._stack, self._stack_held = os.pipe()
        self._processes, self._processes_held = os.pipe()
        self._guard = self._start_guard(0)
        self._id = self._guard.pid

    def _start_guard(self, group: int) -> subprocess.Popen[bytes]:
        watched = (self._stack, self._processes)
        return subprocess.Popen(  # noqa: S603  # our own file
            [sys.executable, "-IS", guard.__file__, *map(str, watched), str(self._folder)],
            stdin=subprocess.DEVNULL,
            pass_fds=(*watched, self._lock),
            process_group=group,
        )

    def renew_guard(self) -> None:
        """Start the guard again where it was killed."""
        if self._guard.poll() is not None:
            self._guard = self._start_guard(self._id)

    def spawn(self, program: Program) -> subprocess.Popen[bytes]:
        """Start a program in this group; what it prints goes to its log."""
        user, group = program.account or (None, None)
        with program.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # what to run is what we are for
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=program.env,
                pass_fds=(*program.sockets, self._processes_held),
                process_group=self._id,
                user=user,
                group=group,
                extra_groups=[] if program.account else None,
            )

    async def close(self) -> None:
        """Let the guard end what is still there, and itself."""
        for end in (self._stack_held, self._processes_held):
            os.close(end)
        await _ended(self._guard, guard.PATIENCE + 1)
        for end in (self._stack, self._processes):
            os.close(end)


class Process:
    """A program that is kept running."""

    def __init__(self, program: Program, group: Group, say: Callable[[str], None]) -> None:
        self.program = program
        self._group = group
        self._say = say
        self._ends = 0
        self._due: float | None = None
        self._started = time.monotonic()
        self._running = group.spawn(program)

    @property
    def pid(self) -> int:
        return self._running.pid

    async def until_ready(self, ready: Callable[[], Awaitable[bool]]) -> None:
        """Wait for the program to be ready.

        Raises:
            StackError: it ended, or takes too long.
        """
        deadline = time.monotonic() + START
        while not await ready():
            if (status := self._running.poll()) is not None:
                raise StackError(f"{_how_it_ended(self.program, status)}\n{_tail(self.program)}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.program.name} is not ready after {START:g} seconds:"
                    f" see {self.program.log}\n{_tail(self.program)}"
                )
            await asyncio.sleep(LOOK)

    def revive(self) -> bool:
        """Start the program again if it has ended and its pause is over; tell whether it was."""
        now = time.monotonic()
        status = self._running.poll()
        if status is None:
            return False
        if self._due is None:
            self._ends = 1 if now - self._started > STEADY else self._ends + 1
            pause = PAUSES[min(self._ends, len(PAUSES)) - 1]
            self._due = now + pause
            self._say(f"{_how_it_ended(self.program, status)}; it is started again in {pause:g} s")
        if now < self._due:
            return False
        self._due = None
        self._started = now
        self._running = self._group.spawn(self.program)
        return True

    def kill(self) -> None:
        """End it as a crash would."""
        self._running.kill()

    async def stop(self, patience: float) -> None:
        """Ask it to end in order; kill it where it does not in time."""
        self._running.send_signal(self.program.stop)
        if await _ended(self._running, patience) is None:
            self._say(f"{self.program.name} does not end after {patience:g} seconds: it is killed")
            self._running.kill()
            await _ended(self._running, patience)


class Supervisor:
    """Everything that runs."""

    def __init__(
        self, group: Group, say: Callable[[str], None], restarted: Callable[[], None]
    ) -> None:
        self._group = group
        self._say = say
        self._restarted = restarted
        self._processes: dict[str, Process] = {}

    def __getitem__(self, name: str) -> Process:
        try:
            return self._processes[name]
        except KeyError:
            names = ", ".join(self._processes)
            raise StackError(f"no process is called {name!r}: there are {names}") from None

    async def run(self, program: Program) -> None:
        """Run a program to its end.

        Raises:
            StackError: it did not succeed.
        """
        running = self._group.spawn(program)
        status = await _ended(running, START)
        if status != 0:
            running.kill()
            raise StackError(f"{_how_it_ended(program, status)}\n{_tail(program)}")

    async def start(self, program: Program, ready: Callable[[], Awaitable[bool]]) -> None:
        """Start a program and wait until it is ready.

        Raises:
            StackError: it does not become ready.
        """
        process = self._processes[program.name] = Process(program, self._group, self._say)
        await process.until_ready(ready)

    async def watch(self) -> None:
        """Start again whatever ends, until cancelled; `restarted` is told."""
        while True:
            await asyncio.sleep(WATCH)
            self._group.renew_guard()
            revived = [process.revive() for process in self._processes.values()]
            if any(revived):
                self._restarted()

    async def stop(self, names: Iterable[str], patience: float) -> None:
        """End these together, in order, and do not start them again."""
        ending = [self._processes.pop(name) for name in names if name in self._processes]
        await asyncio.gather(*(process.stop(patience) for process in ending))


async def _ended(running: subprocess.Popen[bytes], patience: float) -> int | None:
    deadline = time.monotonic() + patience
    # To wait for it in earnest would take a thread per process, and its end is never hurried.
    while (status := running.poll()) is None and time.monotonic() < deadline:  # noqa: ASYNC110  # bounded
        await asyncio.sleep(LOOK)
    return status


def _how_it_ended(program: Program, status: int | None) -> str:
    if status is None:
        return f"{program.name} did not end in {START:g} seconds (log: {program.log})"
    how = f"status {status}" if status >= 0 else signal.Signals(-status).name
    return f"{program.name} ended with {how} (log: {program.log})"


def _tail(program: Program, lines: int = 12) -> str:
    return "\n".join(program.log.read_text(errors="replace").splitlines()[-lines:])
