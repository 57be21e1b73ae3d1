"""Files of a checkout that are written all together, or not at all."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stagepost.engine.discovery import PACKAGE
from stagepost.errors import BadSettings, NotInstalled

PYPROJECT = "pyproject.toml"


@dataclass(frozen=True)
class File:
    """A file of the checkout by its path there, and what is to stand in it; new, or changed."""

    path: str
    text: str
    is_new: bool


def checkout() -> Path:
    """Return the folder of the checkout whose services these are, in which we are.

    Raises:
        BadSettings: they are those of an installed release, or of another folder.
    """
    package: Any = importlib.import_module(PACKAGE)
    folder = Path(package.__path__[0]).resolve().parent
    if not (folder / PYPROJECT).is_file():
        raise BadSettings(f"the services are in {folder}, and that is no checkout to write into")
    if not Path.cwd().is_relative_to(folder):
        raise BadSettings(f"this is the stagepost of another folder: go to {folder}")
    return folder


def tidied(folder: Path, file: File) -> File:
    """Return a Python file with its imports in order and its lines as the checkout wants them.

    Raises:
        NotInstalled: ruff is not here.
        BadSettings: it does not run in this checkout.
    """
    if find_spec("ruff") is None:
        raise NotInstalled("stagepost new", "ruff", "dev")
    text = file.text
    for args in (["check", "--select=I", "--fix-only", "--quiet"], ["format"]):
        done = subprocess.run(  # noqa: S603  # ruff
            [sys.executable, "-m", "ruff", *args, f"--stdin-filename={file.path}", "-"],
            cwd=folder,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BadSettings(f"ruff cannot tidy {file.path}: {done.stderr.strip()}")
        text = done.stdout
    return File(file.path, text, file.is_new)


def write(folder: Path, files: list[File]) -> None:
    """Write all of the files, or none; a new one never takes the place of another.

    Raises:
        BadSettings: one is there already, or cannot be written. Nothing was written.
    """
    with ExitStack() as undo:
        for file in files:
            try:
                _write(folder / file.path, file, undo)
            except FileExistsError:
                raise BadSettings(f"{file.path} is there already; nothing was written") from None
            except OSError as error:
                said = f"{file.path} cannot be written: {error.strerror}; nothing was written"
                raise BadSettings(said) from None
        undo.pop_all()


def _write(path: Path, file: File, undo: ExitStack) -> None:
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir()
            undo.callback(parent.rmdir)
    if file.is_new:
        with path.open("x") as new:
            undo.callback(path.unlink)
            new.write(file.text)
    else:
        was, beside = path.read_bytes(), path.with_name(f".{path.name}.new")
        undo.callback(beside.unlink, missing_ok=True)
        beside.write_text(file.text)
        shutil.copymode(path, beside)
        beside.replace(path)
        undo.callback(path.write_bytes, was)
