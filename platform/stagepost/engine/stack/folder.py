"""The stack's folder: one stack at a time uses it, and nobody else reads its secrets."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stagepost.errors import StackError

OURS = ("kafka.json", "logs", "nats", "nats.conf", "postgres", "secrets.json", "stack.json")
"""What a stack keeps in its folder, beside the lock."""
_GRACE = 10.0


@contextmanager
def held(data: Path) -> Iterator[int]:
    """Keep the folder for this process alone; it is made where it is missing.

    The lock is a file descriptor: a process that inherits it keeps the folder as well.

    Raises:
        StackError: another stack runs on it, or the folder is another user's.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as error:
        raise StackError(
            f"{data} belongs to another user ({error}): become that user, remove it,"
            " or give another folder (make up DATA=...)"
        ) from error
    except OSError as error:
        raise StackError(
            f"no stack can keep its data in {data} ({error}): give another folder"
            " (make up DATA=...)"
        ) from error
    try:
        _take(lock, data)
        yield lock
    finally:
        os.close(lock)


def _take(lock: int, data: Path) -> None:
    # After a crash the guard holds the lock while it ends what the last stack has started.
    deadline = time.monotonic() + _GRACE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = int(os.pread(lock, 20, 0) or b"0")
            if _alive(holder) or time.monotonic() > deadline:
                raise StackError(
                    f"a stack runs on {data} already (process {holder}): end it with Ctrl-C,"
                    " or give another folder (make up DATA=...)"
                ) from None
            time.sleep(0.1)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def empty(data: Path) -> None:
    """Remove what a stack has left in its folder, and nothing else."""
    for name in OURS:
        path = data / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def make_logs(data: Path) -> None:
    """Make the folder of logs, for its owner alone: also where there is one for everybody."""
    logs = data / "logs"
    logs.mkdir(exist_ok=True)
    logs.chmod(0o700)


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read; whoever reads it sees the old or the new text."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


class Passwords:
    """Generated passwords by name, kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def of(self, name: str) -> str:
        """Return the password of this name; the first time one is made."""
        if name not in self._known:
            self._known[name] = secrets.token_hex(16)
            write_secret(self._path, json.dumps(self._known, indent=2))
        return self._known[name]
