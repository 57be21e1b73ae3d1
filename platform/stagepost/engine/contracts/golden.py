"""What is released: in `contracts/golden` one JSON file per version of a message, never changed.

A field that is added within a version makes one more file, the next form of that version: the code
is held to the newest form, and the examples of all forms are read for ever.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter, ValidationError

from stagepost.engine.discovery import CONTRACTS, imported
from stagepost.engine.replay.given import unknown
from stagepost.errors import BadSettings
from stagepost.messages import first_fault

FOLDER = "golden"


@dataclass(frozen=True)
class Golden:
    """A released form of a version of a message: its schema, an example, and who read it then."""

    type: str
    version: int
    form: int
    readers: list[str]
    schema: dict[str, object]
    example: dict[str, object]

    @property
    def file(self) -> str:
        """The name of its file: `payments.RefundPayment.v1.json`; a second form is `.v1.2.json`."""
        form = f".{self.form}" if self.form > 1 else ""
        return f"{self.type}.v{self.version}{form}.json"


_GOLDEN = TypeAdapter(Golden)


def golden_folder() -> Path:
    """Return the folder of what is released, whether it is there or not.

    Raises:
        BadSettings: the contracts do not import.
    """
    return Path(imported(CONTRACTS).__file__ or "").parent / FOLDER


def read_golden() -> list[Golden]:
    """Return what is released, in the order of types, versions and forms.

    Raises:
        BadSettings: a file is damaged.
    """
    return _read((path.name, path.read_bytes()) for path in golden_folder().glob("*.json"))


def read_golden_at(revision: str) -> list[Golden]:
    """Return what was released at a revision of the repository.

    Raises:
        BadSettings: there is no such revision, nothing was released then, or a file is damaged.
    """
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.stderr:
        raise BadSettings(found.stderr.decode().strip())
    if found.returncode:
        names = _git("for-each-ref", "--format=%(refname:short)").stdout.decode().split()
        raise unknown("revision", revision, names)
    packed = _git("archive", found.stdout.decode().strip(), FOLDER)
    if packed.returncode:
        raise BadSettings(f"at {revision} nothing was released: it has no {CONTRACTS}/{FOLDER}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
        golden = (member for member in files if member.name.endswith(".json"))
        members = [(member.name, files.extractfile(member)) for member in golden]
        return _read((name, content.read()) for name, content in members if content is not None)


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    git = shutil.which("git")
    if git is None:
        raise BadSettings("git is not installed: it knows what was released when")
    # A revision is no option: --end-of-options stands before it.
    return subprocess.run(  # noqa: S603
        [git, *arguments], cwd=golden_folder().parent, capture_output=True, check=False
    )


def _read(files: Iterable[tuple[str, bytes]]) -> list[Golden]:
    return sorted((_golden(*file) for file in files), key=lambda g: (g.type, g.version, g.form))


def _golden(name: str, content: bytes) -> Golden:
    try:
        return _GOLDEN.validate_json(content)
    except ValidationError as error:
        raise BadSettings(f"{CONTRACTS}/{FOLDER}/{name} is damaged: {first_fault(error)}") from None


def write_golden(golden: Iterable[Golden]) -> None:
    """Release these, once all are written.

    Raises:
        BadSettings: they cannot be written.
    """
    folder = golden_folder()
    try:
        folder.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".") as unfinished:
            for one in golden:
                text = f"{json.dumps(asdict(one), indent=2, ensure_ascii=False)}\n"
                Path(unfinished, one.file).write_text(text, encoding="utf-8")
            for file in sorted(Path(unfinished).iterdir()):
                # Unlike a rename, a link never takes the place of what is released already.
                os.link(file, folder / file.name)
    except OSError as error:
        raise BadSettings(f"cannot release into {folder}: {error.strerror}") from error
