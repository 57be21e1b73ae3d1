"""What came of a drill: for a person to read, or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.demo.promises import Finding
from tests.drill.fault import Fault


@dataclass(frozen=True)
class Injection:
    """One fault that was done once. Times in seconds; `at` since 1970.

    `failures` is what went wrong beside promises: not fired, never back, never quiet; `waiting`
    counts orders that a person must look after.
    """

    fault: Fault
    at: float
    orders: int
    proof: str
    standstill: float
    after_back: float | None
    findings: Mapping[str, Finding]
    failures: Sequence[str] = ()
    waiting: int = 0
    answers: Mapping[str, int] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def broken(self) -> dict[str, str]:
        """The promises that should hold and do not, with what was found."""
        return {
            name: finding.detail
            for name, finding in self.findings.items()
            if not finding.holds and name not in self.fault.broken
        }

    @property
    def excused(self) -> dict[str, str]:
        """The promises that nobody could keep, and were not kept."""
        return {
            name: finding.detail
            for name, finding in self.findings.items()
            if not finding.holds and name in self.fault.broken
        }

    @property
    def is_well(self) -> bool:
        return not self.broken and not self.failures

    @property
    def is_slow(self) -> bool:
        """Whether orders stood still for longer than they should."""
        return _over(self.standstill, self.fault.standstill) or _over(
            self.after_back, self.fault.after_back
        )


def _over(seconds: float | None, reach: float | None) -> bool:
    return seconds is not None and reach is not None and seconds > reach


@dataclass(frozen=True)
class Line:
    """All injections of one fault."""

    name: str
    injections: tuple[Injection, ...]

    @property
    def standstill(self) -> float:
        return max(injection.standstill for injection in self.injections)

    @property
    def after_back(self) -> float | None:
        seconds = [i.after_back for i in self.injections if i.after_back is not None]
        return max(seconds, default=None)

    def as_json(self) -> dict[str, Any]:
        fault = self.injections[0].fault
        return {
            "fault": self.name,
            "times": len(self.injections),
            "longest_standstill_seconds": round(self.standstill, 2),
            "longest_after_back_seconds": _rounded(self.after_back),
            "within_reach": not any(i.is_slow for i in self.injections),
            "promises_held": sorted(
                name
                for name in self.injections[0].findings
                if all(i.findings[name].holds for i in self.injections if name in i.findings)
            ),
            "promises_broken": _merged(i.broken for i in self.injections),
            "nobody_could_keep": {
                name: {"why": fault.broken[name], "found": found}
                for name, found in _merged(i.excused for i in self.injections).items()
            },
            "orders_that_wait_for_a_person": sum(i.waiting for i in self.injections),
            "failures": [failure for i in self.injections for failure in i.failures],
            "proofs": [i.proof for i in self.injections],
        }


def _merged(several: Any) -> dict[str, str]:
    return {name: found for one in several for name, found in one.items()}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


@dataclass(frozen=True)
class Report:
    """A whole drill; `strays` counts messages that no check has seen."""

    seed: int
    seconds: float
    injections: Sequence[Injection]
    planned: int
    in_catalogue: int
    strays: int = 0

    @property
    def lines(self) -> list[Line]:
        names = dict.fromkeys(injection.fault.name for injection in self.injections)
        return [
            Line(name, tuple(i for i in self.injections if i.fault.name == name)) for name in names
        ]

    @property
    def all_is_well(self) -> bool:
        return bool(self.injections) and not self.strays and all(i.is_well for i in self.injections)

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "faults_in_catalogue": self.in_catalogue,
            "distinct_faults": len(self.lines),
            "injections": len(self.injections),
            "found_no_time": self.planned - len(self.injections),
            "orders": sum(i.orders for i in self.injections),
            "all_is_well": self.all_is_well,
            "slower_than_reach": [i.fault.name for i in self.injections if i.is_slow],
            "messages_outside_all_windows": self.strays,
            "faults": [line.as_json() for line in self.lines],
        }


def told(injection: Injection) -> str:
    """Say in one line how an injection went."""
    parts = [f"{injection.standstill:4.1f} s still"]
    if injection.after_back is not None:
        parts.append(f"{injection.after_back:.1f} s after it was back")
    if injection.is_slow:
        parts.append("SLOW")
    if injection.waiting:
        parts.append(f"{injection.waiting} of {injection.orders} orders wait for a person")
    parts += [f"nobody could keep {name}" for name in injection.excused]
    parts += [f"BROKEN {name}: {found}" for name, found in injection.broken.items()]
    parts += [f"FAILED {failure}" for failure in injection.failures]
    return f"{injection.fault.name}: {', '.join(parts)}"


def show(report: Report, console: Console) -> None:
    """Print a drill for a person."""
    table = Table(
        "fault", "times", "standstill", "after it was back", "promises", box=None, pad_edge=False
    )
    for line in report.lines:
        table.add_row(
            line.name,
            str(len(line.injections)),
            f"{line.standstill:.1f} s",
            "" if line.after_back is None else f"{line.after_back:.1f} s",
            _verdict_on(line),
        )
    orders = sum(i.orders for i in report.injections)
    console.print(
        f"\n{len(report.injections)} injections of {len(report.lines)} faults, of"
        f" {report.in_catalogue} in the catalogue; seed {report.seed}, {orders:,} orders,"
        f" {report.seconds:.0f} s\n",
        highlight=False,
    )
    console.print(table)
    console.print(_verdict(report))


def _verdict_on(line: Line) -> Text:
    text = Text()
    fault = line.injections[0].fault
    excused = dict.fromkeys(name for i in line.injections for name in i.excused)
    if all(i.is_well for i in line.injections):
        text.append("all others hold" if excused else "all hold", "green")
    for injection in line.injections:
        for name, found in injection.broken.items():
            text.append(f"BROKEN {name}: {found} ", "bold red")
        for failure in injection.failures:
            text.append(f"FAILED {failure} ", "bold red")
    for name in excused:
        text.append(f"; nobody could keep {name}: {fault.broken[name]}", "yellow")
    if waiting := sum(i.waiting for i in line.injections):
        text.append(f"; {waiting} orders wait: {fault.waits}", "yellow")
    if any(i.is_slow for i in line.injections):
        text.append("; slower than it should be", "yellow")
    return text


def _verdict(report: Report) -> Text:
    if report.all_is_well:
        slow = sum(i.is_slow for i in report.injections)
        note = f" {slow} injections took longer than they should." if slow else ""
        if late := report.planned - len(report.injections):
            note += f" {late} more found no time: this machine is slow today."
        excused = any(i.excused for i in report.injections)
        held = "that could be kept was kept" if excused else "held"
        return Text(f"\nEvery fault was done, every promise {held}.{note}", style="bold green")
    stray = f" {report.strays} messages belong to no window." if report.strays else ""
    return Text(f"\nNot all is well: see above.{stray}", style="bold red")
