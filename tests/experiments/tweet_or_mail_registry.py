"""What `stagepost links` and `stagepost check` say where a service is in no registry at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import NamedTuple

from stagepost.engine.links_shown import Row
from stagepost.engine.styles import ORCHESTRATED
from tests.experiments.checkout import Copy, changed


class Found(NamedTuple):
    """One line of `stagepost check`."""

    rule: str
    place: str


@dataclass(frozen=True)
class Said:
    """What the two commands say: all links, the exit status of the check, and what it finds."""

    links: frozenset[Row]
    status: int
    found: frozenset[Found]


@dataclass(frozen=True)
class Registry:
    """What they say of the whole shop, and what without one of its services."""

    whole: Said
    without: Said

    @property
    def new_links(self) -> frozenset[Row]:
        """Links that look otherwise since."""
        return self.without.links - self.whole.links

    @property
    def found_since(self) -> list[Found]:
        """What is found only since."""
        return sorted(self.without.found - self.whole.found)


async def without(service: str, *, contract: bool) -> Registry:
    """Ask both commands in a copy of this checkout, before and after a service is removed from it.

    Its `contract` goes with it where no other service speaks its words.
    """
    with changed() as copy:
        whole = await _said(copy)
        shutil.rmtree(copy.folder / "services" / service)
        if contract:
            (copy.folder / "contracts" / f"{service}.py").unlink()
        return Registry(whole, await _said(copy))


async def _said(copy: Copy) -> Said:
    links = await copy.links(ORCHESTRATED)
    check = await copy.run("-m", "stagepost", "check", "--json")
    found = frozenset(Found(one["rule"], one["place"]) for one in json.loads(check.out))
    return Said(frozenset(links), check.status, found)
