"""The summary counts how orders ended, and says whether all is well."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace

import pytest
from rich.console import Console

from services.demo.promises import Finding
from services.demo.summary import Ending, Summary, percentile, show, summarize

GOOD = Ending("1", confirmed=True, reason=None, amount=1050, accepted_at=100.0, ended_at=100.5)
BAD = Ending("2", confirmed=False, reason="late", amount=99, accepted_at=101.0, ended_at=104.0)
OPEN = Ending("3", confirmed=None, reason=None, amount=7, accepted_at=101.0, ended_at=None)
HOLDS = {"1 no order is lost": Finding(holds=True, detail="3 orders")}


def summary(*endings: Ending) -> Summary:
    return summarize(endings, started_at=100.0, units_gone=4, unowned=0, promises=HOLDS)


def test_orders_are_counted_by_how_they_ended() -> None:
    counted = summary(GOOD, BAD, BAD, OPEN)
    assert (counted.orders, counted.confirmed, counted.rejected, counted.waiting) == (4, 1, 2, 1)
    assert counted.reasons == {"late": 2}


def test_only_confirmed_orders_earn() -> None:
    assert summary(GOOD, BAD, OPEN).revenue_minor == 1050


def test_a_run_lasts_until_the_last_order_ended() -> None:
    counted = summary(GOOD, BAD)
    assert (counted.seconds, counted.orders_per_second) == (4.0, 0.5)


def test_an_orders_time_runs_from_its_202_to_its_end() -> None:
    assert summary(GOOD, BAD).p50_ms == 500.0
    assert summary(GOOD, BAD).p99_ms == 3000.0


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (1, 1)])
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(percent: int, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


def test_where_nothing_ended_nothing_is_measured() -> None:
    counted = summary(OPEN)
    assert (counted.seconds, counted.orders_per_second, counted.p50_ms) == (0.0, 0.0, 0.0)


def test_all_is_well_when_every_promise_holds_and_nobody_waits() -> None:
    assert summary(GOOD, BAD).all_is_well


def test_an_order_that_waits_is_not_well() -> None:
    assert not summary(GOOD, OPEN).all_is_well


def test_a_broken_promise_is_not_well() -> None:
    broken = {**HOLDS, "5 money": Finding(holds=False, detail="1 violation")}
    assert not replace(summary(GOOD), promises=broken).all_is_well


def test_the_json_has_exactly_the_agreed_keys() -> None:
    assert list(json.loads(json.dumps(asdict(summary(GOOD))))) == [
        *("orders", "confirmed", "rejected", "waiting", "unowned", "reasons", "seconds"),
        *("orders_per_second", "p50_ms", "p99_ms", "units_gone", "revenue_minor", "promises"),
    ]


def test_a_promise_is_told_with_its_figures() -> None:
    assert asdict(summary(GOOD))["promises"] == {
        "1 no order is lost": {"holds": True, "detail": "3 orders"}
    }


def test_a_person_reads_why_orders_were_rejected_and_what_holds() -> None:
    text = io.StringIO()
    show(summary(GOOD, BAD), "a book", "all that is stored", Console(file=text, width=120))
    for said in ("a book", "10.50 earned", "late", "holds", "3 orders", "Every promise holds."):
        assert said in text.getvalue()
