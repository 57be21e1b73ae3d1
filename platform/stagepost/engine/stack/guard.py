"""The guard: a small process that outlives the stack by a moment, and takes its processes along.

A process that is killed cannot clean up. The guard holds the reading ends of two pipes. The
first is written by nobody: it ends when the stack's own process does, however that came about.
All that the stack started is in the guard's process group and has inherited the second, which
therefore ends when the last of them has. It is started by its path and imports next to nothing.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys

PATIENCE = 5.0
"""Seconds that processes get to end in their own way; then they are killed."""


def main(stack: int, processes: int, folder: str) -> None:
    """Wait for the end of the stack, then end its processes and remove its folder of sockets."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.read(stack, 1)
    # To PostgreSQL SIGINT means: end now, in good order. The others understand it as well.
    os.killpg(0, signal.SIGINT)
    ended, _, _ = select.select([processes], [], [], PATIENCE)
    shutil.rmtree(folder, ignore_errors=True)
    if not ended:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
