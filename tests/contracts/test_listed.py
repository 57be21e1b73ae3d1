"""`stagepost contracts`: every message, and what is wrong with contracts that do not import."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stagepost.engine import cli
from stagepost.engine.contracts.listed import Entry, catalogue
from stagepost.engine.contracts.schema import schema_of
from stagepost.engine.discovery import find_messages
from stagepost.engine.flow import Flow
from stagepost.errors import BadSettings
from stagepost.messages import message_type


def entry(message: str, style: str = "orchestrated", **transports: str) -> Entry:
    (found,) = (one for one in catalogue(Flow(style, transports)) if one.type == message)
    return found


def test_a_message_is_listed_with_all_that_is_known_of_it() -> None:
    assert entry("payments.PaymentReceived") == Entry(
        type="payments.PaymentReceived",
        kind="answer",
        owner="payments",
        version=1,
        key="order_id",
        senders=("payments",),
        readers=("fulfillment",),
        transports=("nats",),
        doc="The money is ours.",
    )


def test_who_reads_it_and_over_what_are_those_of_the_style() -> None:
    placed = "ordering.OrderPlaced"

    assert entry(placed).readers == ("fulfillment",)
    assert "payments" in entry(placed, "choreographed").readers
    assert entry("payments.RetrievePayment", "synchronous").transports == ("http",)
    assert entry("payments.RetrievePayment", "choreographed")[5:8] == ((), (), ())


def test_what_nobody_reads_goes_where_most_others_do() -> None:
    assert entry("fulfillment.FulfillmentOverdue")[5:8] == (("fulfillment",), (), ("nats",))
    assert entry("fulfillment.FulfillmentOverdue", default="kafka").transports == ("kafka",)


@pytest.mark.parametrize("style", ["orchestrated", "synchronous", "choreographed"])
def test_every_message_is_listed_in_every_style(style: str) -> None:
    assert {one.type for one in catalogue(Flow(style))} == {m.TYPE for m in find_messages()}


def test_a_schema_says_kind_key_and_version() -> None:
    schema = schema_of(message_type("customers.CustomerRegistered"))

    said = {name: schema[name] for name in ("x-kind", "x-key", "x-version")}
    assert said == {"x-kind": "event", "x-key": "customer_id", "x-version": 1}


def test_it_is_printed_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    cli.app(["contracts"], result_action="return_value")
    printed = capsys.readouterr().out
    cli.app(["contracts", "--json"], result_action="return_value")
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)

    assert printed.splitlines()[0].split() == ["message", *Entry._fields[1:8]]
    assert {tuple(one) for one in found} == {Entry._fields}
    assert all(one["type"].split(".")[1] in printed for one in found)


# Contracts that do not import.


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: None) -> Iterator[Path]:
    """Contracts of another place; what is said there is forgotten afterwards."""
    package = tmp_path / "contracts"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "contracts"]:
        monkeypatch.delitem(sys.modules, name)
    yield package
    sys.modules.pop("contracts.lost", None)


TYPO = """\
from __future__ import annotations
from stagepost.messages import Event
class Lost(Event):
    order_id: OrderIdd
"""
UNREAL = """\
from stagepost.messages import Event
class Lost(Event):
    VERSION = {}
"""
BROKEN = {
    UNREAL.format('"2"'): r"lost\.Lost: VERSION is 1, 2, \.\.\., and not '2'",
    UNREAL.format(0): r"lost\.Lost: VERSION is 1, 2, \.\.\., and not 0",
    UNREAL.format(True): r"lost\.Lost: VERSION is 1, 2, \.\.\., and not True",
    "raise SystemExit(0)": r"contracts\.lost does not import: SystemExit: 0 ",
    "class Lost(Event):\n": r"does not import: IndentationError: .* \(contracts/lost\.py, line 1\)",
    "\nLOST = found\n": r"does not import: NameError: .*'found'.* \(at contracts\.lost, line 2\)",
    TYPO: r"contracts\.lost\.Lost: name 'OrderIdd' is not defined",
}


@pytest.mark.parametrize("code", BROKEN)
def test_contracts_that_do_not_import_are_refused_with_the_place(code: str, words: Path) -> None:
    (words / "lost.py").write_text(code)

    with pytest.raises(BadSettings, match=BROKEN[code]):
        catalogue(Flow())


def test_contracts_in_a_folder_are_refused(words: Path) -> None:
    (words / "returns").mkdir()
    (words / "returns" / "__init__.py").touch()

    with pytest.raises(BadSettings, match="contracts/returns is a folder: an owner has one module"):
        catalogue(Flow())


def test_a_message_of_two_names_is_one(words: Path) -> None:
    declared = "from stagepost.messages import Event\nclass Lost(Event):\n    order_id: str\n"
    (words / "lost.py").write_text(f"{declared}Missing = Lost\n")

    assert [message.TYPE for message in find_messages()] == ["lost.Lost"]
