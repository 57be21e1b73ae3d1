"""Types the README's commands where the standard library is all there is, and looks at what they do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

STATE = Path(".stagepost/stack.json")
READY = "Ready."


def demo() -> None:
    """Standard output of the demo is one JSON object that says that all is well."""
    summary = json.load(sys.stdin)
    assert summary["orders"] == 40, summary
    assert summary["waiting"] == 0, summary
    assert all(promise["holds"] for promise in summary["promises"].values()), summary


def up() -> None:
    """The README's curls succeed against `make up`, and after Ctrl-C nothing is left."""
    stack = subprocess.Popen(
        ["make", "up"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert stack.stdout
        for line in stack.stdout:
            print(line, end="")
            if READY in line:
                break
        else:
            sys.exit("make up ended before it was ready")
        for command in curls():
            print(command)
            subprocess.run(["bash", "-euc", command], check=True)
    finally:
        # As Ctrl-C does: to everything in the foreground of the terminal.
        os.killpg(stack.pid, signal.SIGINT)
        stack.wait(60)
    assert not STATE.exists(), "the stack has ended, but its stack.json says it runs"
    if left := processes_here():
        sys.exit("left behind:\n" + "\n".join(left))


def curls() -> list[str]:
    """Return the README's curl commands, with the ports that were free here."""
    text = Path("README.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"^\s*(?:\$ )?(curl .*)$", text, re.MULTILINE)
    if not commands:
        sys.exit("the README has no curl to try")
    state = json.loads(STATE.read_text())
    usual = {8001 + i: service["port"] for i, service in enumerate(state["services"].values())}
    return [
        re.sub(r":(80\d\d)\b", lambda port: f":{usual[int(port[1])]}", command).replace(
            "curl", "curl --fail-with-body", 1
        )
        for command in commands
    ]


def processes_here() -> list[str]:
    """Return the processes that work in this folder or were started from it."""
    here = str(Path.cwd())
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            folder = os.readlink(process / "cwd")
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it has ended
        if int(process.name) != os.getpid() and (folder.startswith(here + "/.") or here in command):
            found.append(f"{process.name} {command}")
    return found


if __name__ == "__main__":
    {"demo": demo, "up": up}[sys.argv[1]]()
