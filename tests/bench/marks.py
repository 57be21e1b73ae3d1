"""What is measured, what it should reach, and the table that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure by its key in the JSON: what to reach, what to stretch to, and what it says."""

    key: str
    says: str
    reach: float
    stretch: float
    unit: str = ""
    less_is_better: bool = False

    def met(self, value: float, goal: float) -> bool:
        """Tell whether a measured value is as good as a goal."""
        return value <= goal if self.less_is_better else value >= goal


MARKS = (
    Mark("vs_probe", "sustained orders/s, of those of the bare probe", 0.2, 0.35),
    Mark("vs_probe_inprocess", "the same, the world outside in the process", 0.23, 0.4),
    Mark("vs_dbos", "sustained orders/s, in those of DBOS", 4, 8, "x"),
    Mark("vs_eventsourcing", "the same, in those of the library's runner", 8, 15, "x"),
    Mark("p50_ms_at_rest", "an order at rest, 202 to confirmed: half of them", 40, 15, "ms", True),
    Mark("p99_ms_at_rest", "99 of 100 of them", 100, 40, "ms", True),
    Mark("idle_cpu_percent", "the whole stack idle, of one core", 3, 1, "%", True),
    Mark("rss_mib", "memory of the largest service process", 120, 90, "MiB", True),
    Mark("rss_growth_percent", "its growth over 50,000 orders", 10, 3, "%", True),
    Mark("history_ratio", "throughput after 500,000 orders, against none", 0.9, 0.97),
    Mark("append_ratio", "commits/s of append, of those of pgbench", 0.4, 0.7),
    Mark("relay_ratio", "messages/s of the relay, of those of bare nats-py", 0.25, 0.5),
    Mark("consumer_ratio", "messages/s of the consumer, of the same", 0.25, 0.5),
    Mark("replay_per_second", "events/s decoded and folded, of five stores", 40_000, 100_000),
    Mark("vs_library_replay", "the same, in those of the library's log reader", 1, 1.5, "x"),
    Mark("state_at_ms", "what was, of 10,000 events, from a snapshot", 50, 10, "ms", True),
    Mark("verify_peak_mib", "memory of verify over a million events", 200, 120, "MiB", True),
)

HOW_TO_READ = (
    "Ratios count: both sides ran in the same minutes on the same two cores, for everything,"
    " the load included."
)


def missed(figures: Mapping[str, Any]) -> list[str]:
    """Return the keys of the figures that do not reach what they should."""
    return [m.key for m in MARKS if m.key in figures and not m.met(figures[m.key], m.reach)]


def show(figures: Mapping[str, Any], console: Console) -> None:
    """Print the figures for a person."""
    table = Table("", "", box=None, pad_edge=False)
    for head in ("measured", "reach", "stretch"):
        table.add_column(head, justify="right")
    for mark in MARKS:
        if mark.key in figures:
            table.add_row(*_row(mark, figures[mark.key]))
    lines: list[Any] = [table, "", *_absolute(figures), HOW_TO_READ]
    if misses := missed(figures):
        lines.append(Text(f"Below reach: {', '.join(misses)}", style="bold red"))
    console.print(Group(*lines))


def _row(mark: Mark, value: float) -> tuple[Text, str, Text, str, str]:
    if mark.met(value, mark.stretch):
        verdict = Text("stretch", "bold green")
    elif mark.met(value, mark.reach):
        verdict = Text("reach", "green")
    else:
        verdict = Text("MISSED", "bold red")
    measured = Text(f"{value:,.3g} {mark.unit}".strip(), verdict.style)
    return verdict, mark.says, measured, f"{mark.reach:g}", f"{mark.stretch:g}"


def _absolute(figures: Mapping[str, Any]) -> list[str]:
    """Return what the ratios came from, where it was measured."""
    lines = []
    if "orders_per_second" in figures:
        lines.append(
            f"{figures['orders_per_second']:,.0f} orders/s,"
            f" {figures['messages_per_second']:,.0f} messages/s,"
            f" while the probe did {figures['probe_orders_per_second']:,.0f} orders/s"
        )
        shares = sorted(figures["cpu_ms_per_order"].items(), key=lambda share: -share[1])
        spent = ", ".join(f"{name} {ms:.2f}" for name, ms in shares if ms >= 0.01)
        lines.append(
            f"CPU time an order, in ms: {sum(ms for _, ms in shares):.2f} ({spent});"
            f" of the probe: {figures['probe_cpu_ms_per_order']:.2f}"
        )
    return lines
