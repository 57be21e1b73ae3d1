"""A copy of this checkout with a change applied to it: what it comes to, and how it runs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stagepost.engine.links_shown import Row
from stagepost.errors import StagepostError
from tests.experiments.diff import Diff, read_diff

ROOT = Path(__file__).parents[2]
IS_WALKED = (ROOT / "services/vetting").exists()
"""Somebody has typed the walk-through: patches of the sample as it was cloned do not fit."""
CHANGES = Path(__file__).parent / "changes"


class CopyFailed(StagepostError):
    """A change does not apply, or what was run in a copy failed."""


@dataclass(frozen=True)
class Ran:
    """What a program said, and its exit status."""

    status: int
    out: str


@dataclass(frozen=True)
class Journeys:
    """How many tests of the journeys passed, and which did not."""

    passed: int
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Copy:
    """A checkout of its own, and its change: the interpreter is ours, the sources are not."""

    folder: Path
    diff: Diff

    def restore(self, path: str) -> None:
        """Have a file, or all of a folder, as it is without the change."""
        restored = self.folder / path
        if restored.is_dir():
            shutil.rmtree(restored)
        _copy(self.folder, path)

    async def run(self, *args: str) -> Ran:
        """Run Python in the copy. Whoever is asked to end meanwhile ends it in good order."""
        paths = f"{self.folder / 'platform'}:{self.folder}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *args),
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": paths, "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us: we pass it on, once
        )
        try:
            out, _ = await process.communicate()
        except asyncio.CancelledError:
            process.send_signal(signal.SIGINT)
            await process.wait()
            raise
        assert process.returncode is not None
        return Ran(process.returncode, out.decode())

    async def told(self, *args: str) -> str:
        """Run Python in the copy, and return what it said.

        Raises:
            CopyFailed: it failed.
        """
        ran = await self.run(*args)
        if ran.status:
            raise CopyFailed(f"python {' '.join(args)}: {ran.out}")
        return ran.out

    async def links(self, style: str) -> list[Row]:
        """Return the link registry of the copy in a style.

        Raises:
            CopyFailed: it has none.
        """
        told = await self.told("-m", "stagepost", "links", "--json", "--style", style)
        return [Row(*row.values()) for row in json.loads(told)]

    async def journeys(self, style: str, file: str = "tests/journeys/test_styles.py") -> Journeys:
        """Run the journeys of a style in the copy.

        Raises:
            CopyFailed: they did not run.
        """
        report = self.folder / f"{style}.xml"
        ran = await self.run("-m", "pytest", "-q", file, "-k", style, f"--junitxml={report}")
        if ran.status not in {0, 1}:
            raise CopyFailed(f"the journeys of {style} did not run:\n{ran.out}")
        return judged(report)


@contextmanager
def changed(name: str | None = None) -> Iterator[Copy]:
    """Copy the checkout, and apply `changes/<name>.patch`; without one it is as it is here.

    Raises:
        CopyFailed: the change does not apply.
    """
    with tempfile.TemporaryDirectory(prefix="stagepost experiment ") as made:
        folder = Path(made)
        _copy(folder, ".")
        told = "" if name is None else _applied(CHANGES / f"{name}.patch", folder)
        services = {app.parent.name for app in folder.glob("services/*/app.py")}
        yield Copy(folder, read_diff(told, services))


def _copy(folder: Path, under: str) -> None:
    """Copy what is under a path of this checkout, but not what git ignores."""
    of_git = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for path in _git(*of_git, "--", under).split("\0"):
        if path and (ROOT / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)


def _applied(patch: Path, folder: Path) -> str:
    """Apply a patch, and return what it touches."""
    _git("apply", str(patch), where=folder)
    return _git("apply", "--numstat", "--summary", str(patch), where=folder)


def _git(*args: str, where: Path = ROOT) -> str:
    # A copy is no repository, and must not be taken for a part of one that is around it.
    env = os.environ | {"GIT_CEILING_DIRECTORIES": str(where.parent)}
    done = subprocess.run(
        ["git", *args], cwd=where, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CopyFailed(f"git {args[0]}: {done.stderr.strip()}")
    return done.stdout


def judged(report: Path) -> Journeys:
    cases = list(ET.parse(report).iter("testcase"))
    failed = [
        case.attrib["name"] for case in cases if {"failure", "error"} & {of.tag for of in case}
    ]
    return Journeys(len(cases) - len(failed), tuple(failed))
