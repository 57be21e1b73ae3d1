"""Set up `.venv`, as make does first of all: `python3 platform/install.py`.

What is installed stands in `platform/requirements.lock`, with hashes; the project itself is
installed in place. Where nothing has changed since the last time nothing is done. This needs
Python's own library only, and any Python can read it. What it says goes to standard error.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
LOCKED = ROOT / "platform" / "requirements.lock"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"


def main() -> None:
    """Install what is not installed yet; of two at once, one waits for the other."""
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"stagepost needs Python 3.11 or newer; {sys.executable} is {found}."
            " Name another one: make PYTHON=python3.12 ..."
        )
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    wanted = fingerprint()
    if not PYTHON.exists() or not STAMP.exists() or STAMP.read_text() != wanted:
        install()
        STAMP.write_text(wanted)


def fingerprint() -> str:
    """Return what the environment depends on: what is asked for, and where it stands."""
    digest = hashlib.sha256(str(ROOT).encode())
    for file in (LOCKED, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def install() -> None:
    """Make the environment anew, and install into it."""
    say(f"Setting up {VENV}: a minute or so, this once")
    if run(sys.executable, "-m", "venv", "--clear", VENV) != 0:
        sys.exit(
            f"{sys.executable} cannot make virtual environments."
            " On Debian and Ubuntu: apt install python3-venv"
        )
    install_locked()
    # Without isolation: what builds the project is locked as well.
    if run(
        PYTHON, "-m", "uv", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", ROOT
    ):
        sys.exit("the project itself could not be installed: see above")


def install_locked() -> None:
    """Install what is locked: uv with pip, and all the rest with uv."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as only_uv:
        only_uv.write(locked("uv"))
        only_uv.flush()
        run(PYTHON, "-m", "pip", "install", "-q", "--require-hashes", "-r", only_uv.name)
    if run(PYTHON, "-m", "uv", "pip", "sync", "-q", "--require-hashes", LOCKED) == 0:
        return
    say("uv could not install everything: pip tries, which may know another package index")
    if run(PYTHON, "-m", "pip", "install", "-q", "--require-hashes", "-r", LOCKED) != 0:
        sys.exit("the locked packages could not be installed: see above")


def locked(package: str) -> str:
    """Return the lines of one package in the lock."""
    found = re.search(rf"^{package}==.*\n(?:[ \t].*\n)*", LOCKED.read_text(), re.MULTILINE)
    if found is None:
        sys.exit(f"{LOCKED} does not have {package}: make lock")
    return found[0]


def run(*command: str | Path) -> int:
    """Run a command inside the environment; standard output is left to whoever called make."""
    return subprocess.call(  # noqa: S603  # the commands stand above
        list(map(str, command)),
        cwd=ROOT,
        env=os.environ | {"VIRTUAL_ENV": str(VENV)},
        stdout=sys.stderr,
    )


def say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201  # it is for a person to read


if __name__ == "__main__":
    main()
