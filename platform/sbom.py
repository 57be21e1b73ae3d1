"""Write down what the stack in containers is made of, as CycloneDX: `make sbom > sbom.json`.

It reads what the image is built from: the locked packages with their hashes, and the images that
Dockerfile and docker-compose.yml name. Python's own library is enough.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

Component = dict[str, object]


def inventory() -> dict[str, object]:
    """Return the inventory of what we deliver."""
    package = (ROOT / "platform" / "stagepost" / "__init__.py").read_text()
    (version,) = re.findall(r'^__version__ = "(.+)"', package, re.MULTILINE)
    made = {"type": "application", "name": "stagepost", "version": version}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": made | {"bom-ref": made["name"]}},
        "components": [*packages(), *images()],
    }


def packages() -> Iterator[Component]:
    """Yield the locked packages; what is for Windows alone is in no image."""
    lock = (ROOT / "platform" / "image.lock").read_text()
    entry = r"^([\w.-]+)==([^\s;]+)( ;.*)? \\\n((?:    --hash.*\n)+)"
    for name, version, condition, hashes in re.findall(entry, lock, re.MULTILINE):
        if "== 'win32'" not in condition:
            yield _component("library", f"pkg:pypi/{name}@{version}", name, version) | {
                "hashes": [
                    {"alg": "SHA-256", "content": content}
                    for content in re.findall(r"sha256:(\w+)", hashes)
                ]
            }


def images() -> Iterator[Component]:
    """Yield the images of others, those that ours is built on among them."""
    built = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    compose = (ROOT / "docker-compose.yml").read_text()
    run = re.findall(r"^    image: (\S+)", compose, re.MULTILINE)
    for image in sorted({*built, *run}):
        name, _, tag = image.partition(":")
        yield _component("container", f"pkg:docker/{name}@{tag}", name, tag)


def _component(kind: str, purl: str, name: str, version: str) -> Component:
    return {"type": kind, "bom-ref": purl, "purl": purl, "name": name, "version": version}


if __name__ == "__main__":
    json.dump(inventory(), sys.stdout, indent=1)
