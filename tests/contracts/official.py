"""The official schema of AsyncAPI documents, from the npm package of those who publish it.

It is checked against a hash, and kept beside what pytest keeps: it is fetched once.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from hashlib import sha512
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PACKAGE = "@asyncapi/specs@6.11.1"
FILE = "asyncapi-specs-6.11.1.tgz"
SHA512 = (
    "0375812ea00a1a8276fba15616da63065090d6814272ce06c45ef3b081af36aa"
    "7f9251941e3940dda01c67d5cc3292c613cccf7980f3db1f4598ee834ae2ab69"
)
SCHEMA = "package/schemas/3.1.0.json"
SECONDS = 120


class Unavailable(Exception):
    """The schema cannot be had here, and why."""


def asyncapi_schema(kept: Path) -> dict[str, Any]:
    """Return the schema; `kept` is the folder where the package is kept.

    Raises:
        Unavailable
    """
    if not (kept / FILE).exists():
        fetch(kept)
    with tarfile.open(kept / FILE) as package:
        file = package.extractfile(SCHEMA)
        assert file is not None
        schema: dict[str, Any] = json.load(file)
        return schema


def fetch(kept: Path) -> None:
    if (npm := shutil.which("npm")) is None:
        raise Unavailable("npm is not installed")
    with TemporaryDirectory(dir=kept) as folder:
        command = [npm, "pack", PACKAGE, "--pack-destination", folder]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(str(error)) from error
        if done.returncode != 0:
            raise Unavailable(done.stderr.strip()[-500:])
        fetched = Path(folder, FILE)
        found = sha512(fetched.read_bytes()).hexdigest()
        assert found == SHA512, f"{PACKAGE} is not what it was: its hash is {found}"
        fetched.rename(kept / FILE)
