"""What a change comes to, counted from its diff."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

CONTRACTS, TESTS, ELSEWHERE = "contracts", "tests", "elsewhere"
_CREATED = " create mode 100644 "


@dataclass(frozen=True)
class ChangedFile:
    """A file, and how many lines were added to it and removed from it."""

    path: str
    added: int
    removed: int
    is_new: bool


@dataclass(frozen=True)
class Diff:
    """The files of a change, by where they belong: a service, contracts, tests or elsewhere."""

    files: dict[str, list[ChangedFile]]

    @property
    def services(self) -> frozenset[str]:
        """Services that have another file now: all that must be deployed."""
        return frozenset(self.files) - {CONTRACTS, TESTS, ELSEWHERE}

    @property
    def new_services(self) -> frozenset[str]:
        """Those of them that were not there before."""
        return frozenset(
            service
            for service in self.services
            if any(f.is_new and f.path == f"services/{service}/app.py" for f in self.files[service])
        )

    @property
    def touched_services(self) -> frozenset[str]:
        """Those of them that were."""
        return self.services - self.new_services

    def of(self, places: Iterable[str]) -> list[ChangedFile]:
        """Return the files that belong there."""
        return [file for place in places for file in self.files.get(place, ())]


def lines(files: Collection[ChangedFile]) -> str:
    """Say how many lines came and went."""
    return f"+{sum(file.added for file in files):,} -{sum(file.removed for file in files):,}"


def read_diff(told: str, services: Collection[str]) -> Diff:
    """Read what `git apply --numstat --summary` tells; `services` are all that there are then."""
    told_lines = told.splitlines()
    new = {line.removeprefix(_CREATED) for line in told_lines if line.startswith(_CREATED)}
    files: dict[str, list[ChangedFile]] = {}
    for line in told_lines:
        if "\t" in line:
            added, removed, path = line.split("\t")
            file = ChangedFile(path, int(added), int(removed), path in new)
            files.setdefault(_place(path, services), []).append(file)
    return Diff(files)


def _place(path: str, services: Collection[str]) -> str:
    top, _, rest = path.partition("/")
    package = rest.partition("/")[0]
    if top == "services" and package in services:
        return package
    return top if top in {CONTRACTS, TESTS} else ELSEWHERE
