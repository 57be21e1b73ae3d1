"""What came of the order book: for a person to read, or as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from services.demo.promises import Finding


@dataclass(frozen=True, slots=True)
class Ending:
    """How one order stands: `confirmed` is None while it waits; times in seconds since 1970."""

    order_id: str
    confirmed: bool | None
    reason: str | None
    amount: int
    accepted_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a run; the names are those of `JSON=1`.

    An order's time is from its 202 at the client to the moment at which ordering recorded its
    end; both are read from this machine's clock. Of those that wait some are `unowned`: the world
    outside does not answer, and in this style nobody owns a deadline that would end them.
    """

    orders: int
    confirmed: int
    rejected: int
    waiting: int
    unowned: int
    reasons: Mapping[str, int]
    seconds: float
    orders_per_second: float
    p50_ms: float
    p99_ms: float
    units_gone: int
    revenue_minor: int
    promises: Mapping[str, Finding]

    @property
    def all_is_well(self) -> bool:
        return self.waiting == self.unowned and all(
            finding.holds for finding in self.promises.values()
        )


def summarize(
    endings: Sequence[Ending],
    started_at: float,
    units_gone: int,
    unowned: int,
    promises: Mapping[str, Finding],
) -> Summary:
    """Count how the orders ended."""
    confirmed = [e for e in endings if e.confirmed]
    rejected = [e for e in endings if e.confirmed is False]
    last = max((e.ended_at for e in endings if e.ended_at is not None), default=started_at)
    seconds = last - started_at
    times = sorted(
        max(0.0, e.ended_at - e.accepted_at) * 1000 for e in endings if e.ended_at is not None
    )
    return Summary(
        orders=len(endings),
        confirmed=len(confirmed),
        rejected=len(rejected),
        waiting=len(endings) - len(confirmed) - len(rejected),
        unowned=unowned,
        reasons=dict(Counter(e.reason or "" for e in rejected).most_common()),
        seconds=round(seconds, 3),
        orders_per_second=round(len(times) / seconds, 1) if seconds > 0 else 0.0,
        p50_ms=round(percentile(times, 50), 1),
        p99_ms=round(percentile(times, 99), 1),
        units_gone=units_gone,
        revenue_minor=sum(e.amount for e in confirmed),
        promises=promises,
    )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest value that `percent` of all do not exceed, 0 where there are none."""
    return ordered[ceil(len(ordered) * percent / 100) - 1] if ordered else 0.0


def show(summary: Summary, book: str, window: str, console: Console) -> None:
    """Print the summary for a person."""
    console.print(
        Group(
            Text(f"\n{book}", style="bold"),
            _orders(summary),
            Text(f"\nThe promises, over {window}", style="bold"),
            _promises(summary.promises),
            _verdict(summary),
        )
    )


def _orders(summary: Summary) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right")
    table.add_column()
    revenue, cents = divmod(summary.revenue_minor, 100)
    table.add_row(f"{summary.orders:,}", "orders accepted")
    table.add_row(
        f"{summary.confirmed:,}",
        f"confirmed: {summary.units_gone:,} units gone, {revenue:,}.{cents:02} earned",
    )
    table.add_row(f"{summary.rejected:,}", "rejected")
    for reason, count in summary.reasons.items():
        table.add_row("", f"{count:>6,}  {reason}")
    table.add_row(f"{summary.waiting:,}", "waiting")
    if summary.unowned:
        why = "the world outside does not answer, and nobody owns a deadline"
        table.add_row("", f"{summary.unowned:>6,}  {why}")
    table.add_row(
        f"{summary.seconds:,.1f}", f"seconds for all, {summary.orders_per_second:,.0f} orders/s"
    )
    table.add_row(f"{summary.p50_ms:,.0f}", "ms from an order's 202 to its end, for half of them")
    table.add_row(f"{summary.p99_ms:,.0f}", "ms for 99 of 100")
    return table


def _promises(promises: Mapping[str, Finding]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, finding in promises.items():
        mark = Text("holds", "green") if finding.holds else Text("BROKEN", "bold red")
        table.add_row(mark, name, Text(finding.detail, "dim"))
    return table


def _verdict(summary: Summary) -> Text:
    if summary.all_is_well:
        return Text("\nEvery promise holds.", style="bold green")
    return Text("\nNot all is well: see above.", style="bold red")
