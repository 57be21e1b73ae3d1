"""Type the README's commands on a machine that has nothing else, and look at what they do."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

STATE = Path(".stagepost/stack.json")
READY = "Ready;"
ORDERS = 40
WAIT = 30.0
"""Seconds in which what the README promises for "a moment later" must have come about."""


def demo() -> None:
    """Check standard output of the demo: one JSON object that says that all is well."""
    summary = json.load(sys.stdin)
    if summary["orders"] != ORDERS or summary["waiting"] != summary["unowned"]:
        sys.exit(f"not all {ORDERS} orders have ended: {summary}")
    if broken := [name for name, promise in summary["promises"].items() if not promise["holds"]]:
        sys.exit(f"promises that do not hold: {broken}")


def northwind() -> None:
    """Northwind's orders with enough in stock: every cent and every unit."""
    summary = json.load(sys.stdin)
    figures = [summary[name] for name in ("confirmed", "units_gone", "revenue_minor")]
    assert figures == [830, 51317, 126579302], summary
    assert all(promise["holds"] for promise in summary["promises"].values()), summary


def serial() -> None:
    """Northwind's orders one at a time, with what is listed in stock."""
    summary = json.load(sys.stdin)
    assert [summary["confirmed"], summary["units_gone"]] == [95, 2059], summary
    assert all(promise["holds"] for promise in summary["promises"].values()), summary


def up() -> None:
    """Check `make up`: what the README shows works against it, and after Ctrl-C nothing is left."""
    stack = subprocess.Popen(
        ["make", "up"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        wait_until_ready(stack)
        os.environ |= {"AUTH": who_asks()}
        for command in commands():
            print(f"$ {command}", flush=True)
            until_it_works(command)
    finally:
        # As Ctrl-C does: to everything in the foreground of the terminal.
        os.killpg(stack.pid, signal.SIGINT)
        stack.wait(60)
    if STATE.exists():
        sys.exit(f"the stack has ended, but {STATE} says that it runs")
    if left := processes_here():
        sys.exit("left behind:\n" + "\n".join(left))


def wait_until_ready(stack: subprocess.Popen[str]) -> None:
    for line in stack.stdout or ():
        print(line, end="")
        if READY in line:
            return
    sys.exit("make up ended before it was ready")


def commands() -> list[str]:
    """Return the README's calls of a running stack, with the ports that were free here."""
    state = json.loads(STATE.read_text())
    ports = [service["port"] for service in state["services"].values()]
    usual = {str(8001 + place): str(port) for place, port in enumerate(ports)}
    typed = [
        re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda port: usual[port[0]], command)
        for command in shown()
        if re.match(r"curl |stagepost (status|dead-letters list)", command)
    ]
    if len(typed) < len(usual):
        sys.exit(f"the README has too few commands to try: {typed}")
    return typed


def who_asks() -> str:
    """Return the header that the README has its reader set."""
    (typed,) = (command for command in shown() if command.startswith("AUTH="))
    said = subprocess.run(
        ["bash", "-euc", f'{typed}\nprintf %s "$AUTH"'],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return said.stdout


def shown() -> Iterator[str]:
    """Yield the commands that the README shows, each on one line or, in quotes, on several."""
    command = ""
    text = re.sub(r"^```.*?^```", "", Path("README.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    for line in re.findall(r"^    (.+)$", text, re.MULTILINE):
        command = f"{command}\n{line}" if command else line
        try:
            shlex.split(command, comments=True)
        except ValueError:
            continue  # a quotation is still open, or the line ends in a backslash
        yield command
        command = ""


def until_it_works(command: str) -> None:
    """Type a command as often as an impatient reader would."""
    script = command.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)
    environment = os.environ | {"PATH": f"{Path('.venv/bin').absolute()}:{os.environ['PATH']}"}
    expected = "confirmed" if "confirmed" in command else ""
    deadline = time.monotonic() + WAIT
    while True:
        done = subprocess.run(
            ["bash", "-euc", script],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode == 0 and expected in done.stdout:
            return print(done.stdout)
        if time.monotonic() > deadline:
            sys.exit(f"it does not work: {done.stdout}")
        time.sleep(0.5)


def processes_here() -> list[str]:
    """Return the processes that work in this folder or were started from it."""
    here = str(Path.cwd())
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            folder = str((process / "cwd").readlink())
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it has ended
        if folder.startswith(f"{here}/.") or f"{here}/." in command:
            found.append(f"{process.name} {command}")
    return found


if __name__ == "__main__":
    {"demo": demo, "up": up, "northwind": northwind, "serial": serial}[sys.argv[1]]()
