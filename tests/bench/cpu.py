"""CPU time and memory of processes, from /proc."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 2**20


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU seconds used so far, by name; `postgres` is told by database.

    What its backends that ended had used counts as `postgres`.
    """
    used: defaultdict[str, float] = defaultdict(float)
    for name, pid in pids.items():
        used[name] += _used(pid, ended=True)
    if postmaster := pids.get("postgres"):
        for pid in _children(postmaster):
            used[_backend(pid)] += _used(pid)
    return used


def two_cores() -> None:
    """Stay on two cores, with all that is started from here, where there are more."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def rss_mib(pid: int) -> float:
    """Return the memory of a process that is resident, in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / MIB


def _used(pid: int, *, ended: bool = False) -> float:
    """Return the CPU seconds of a process, and of its children that have `ended`."""
    try:
        fields = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(field) for field in fields[11 : 15 if ended else 13]) / TICKS


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/pid/stat behind the name, which may have spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _children(parent: int) -> Iterable[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int(_stat(int(entry.name))[1]) == parent:
                    yield int(entry.name)
            except (FileNotFoundError, ProcessLookupError):
                continue


def _backend(pid: int) -> str:
    """Say what a process of PostgreSQL does: `postgres payments`, or `postgres walwriter`."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_text().strip("\0").split()
    except (FileNotFoundError, ProcessLookupError):
        return "postgres"
    # postgres: USER DATABASE ... | postgres: checkpointer | postgres: io worker 0
    of_a_client = len(title) > 2 and "[local]" in title
    return f"postgres {title[2] if of_a_client else ' '.join(title[1:])}".strip()
