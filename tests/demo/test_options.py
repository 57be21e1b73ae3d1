"""The options of `make demo`, and what becomes of bad ones: nothing is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.demo.__main__ import read_book, read_options
from services.demo.book import demand
from stagepost.errors import BadSettings


@pytest.fixture(autouse=True)
def _no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORDERS", "SEED", "BOOK", "STOCK", "PACE", "JSON"):
        monkeypatch.delenv(name, raising=False)


def test_without_options_it_is_the_projects_own_book_of_300(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BOOK", "")  # as make passes what nobody gave
    assert len(read_book(read_options()).orders) == 300


def test_orders_and_seed_choose_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS", "5")
    first = read_book(read_options())
    monkeypatch.setenv("SEED", "8")
    assert len(first.orders) == 5
    assert read_book(read_options()).orders != first.orders


def test_unlimited_stock_is_what_all_orders_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK", "unlimited")
    book = read_book(read_options())
    assert book.stock == demand(book.orders)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORDERS", "many"),
        ("ORDERS", "0"),
        ("SEED", "x"),
        ("STOCK", "some"),
        ("PACE", "fast"),
        ("JSON", "x"),
    ],
)
def test_a_bad_option_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings, match=f"^{name}={value}: "):
        read_options()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"STOCK": "some"}, "demo: STOCK=some: "),
        ({"BOOK": "nowhere"}, "demo: nowhere/products.csv: cannot be read"),
    ],
)
def test_bad_options_end_with_status_2_before_anything_starts(
    tmp_path: Path, options: dict[str, str], said: str
) -> None:
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-m", "services.demo"],
        env={**os.environ, "PYTHONPATH": str(root), "JSON": "1", **options},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert said in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["STYLE", "TRANSPORT"])
def test_a_stack_that_runs_is_in_its_own_style(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("DATA", ".stagepost")
    read_options()
    monkeypatch.setenv(name, "synchronous")
    with pytest.raises(BadSettings, match="STYLE and TRANSPORT are for a stack of the demo's own"):
        read_options()
