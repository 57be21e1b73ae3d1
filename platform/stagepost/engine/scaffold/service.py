"""A new service: what the engine needs to run it, and a test that it does."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection
from itertools import count
from pathlib import Path
from string import Template

from stagepost.engine.scaffold.compose import COMPOSE, with_container
from stagepost.engine.scaffold.lists import with_service
from stagepost.engine.scaffold.written import PYPROJECT, File
from stagepost.errors import BadSettings

TEMPLATES = Path(__file__).with_name("service")
FILES = {
    "package.py": "services/{name}/__init__.py",
    "app.py": "services/{name}/app.py",
    "handlers.py": "services/{name}/handlers.py",
    "queries.sql": "services/{name}/sql/queries.sql",
    "test.py": "tests/{name}/test_{name}.py",
}
"""Where each template goes."""

OF_THE_STACK = frozenset(
    {
        *("admin", "audit", "auditor", "external", "nats", "operator", "postgres"),
        *("cli", "front", "prepare", "provide", "template0", "template1"),
    }
)
"""What databases, users, processes and containers are called that are no service's."""


def check_name(name: str, checkout: Path) -> None:
    """Make sure that a name can be that of a new service.

    Raises:
        BadSettings: it cannot, or it is taken.
    """
    if not re.fullmatch("[a-z][a-z0-9]{1,19}", name):
        near = re.sub("[^a-z0-9]", "", name.lower()).lstrip("0123456789")[:20]
        like = near if len(near) > 1 else "returns"
        raise BadSettings(f"a service has a name such as {like}, not {name!r}")
    if keyword.iskeyword(name) or name in OF_THE_STACK:
        raise BadSettings(f"{name} means something else here: a service needs another name")
    for taken in (f"services/{name}", f"services/{name}.py", f"contracts/{name}.py"):
        if _has_something(checkout / taken):
            raise BadSettings(f"there is a {taken} already: a service needs another name")


def _has_something(path: Path) -> bool:
    """Tell whether it is there; what a change of branches leaves of a folder does not count."""
    if not path.is_dir():
        return path.exists()
    return any(inside.name != "__pycache__" for inside in path.iterdir())


def port_beside(taken: Collection[int], services: Collection[int]) -> int:
    """Return the port of a new service: the next after those of the others that nobody has."""
    return next(port for port in count(max(services, default=8000) + 1) if port not in taken)


def files_for(name: str, port: int, checkout: Path) -> list[File]:
    """Return what is to be written for a service."""
    words = {"name": name, "title": name.capitalize(), "port": str(port)}
    made = [
        File(path.format(name=name), _filled(template, words), is_new=True)
        for template, path in FILES.items()
    ]
    rules = with_service(name, (checkout / PYPROJECT).read_text())
    container = _filled("compose.yml", words)
    containers = with_container(name, container, (checkout / COMPOSE).read_text())
    return [
        *made,
        File(PYPROJECT, rules, is_new=False),
        File(COMPOSE, containers, is_new=False),
    ]


def _filled(template: str, words: dict[str, str]) -> str:
    return Template((TEMPLATES / f"{template}.template").read_text()).substitute(words)
