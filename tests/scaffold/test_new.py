"""`stagepost new` in a copy of this checkout: what it writes is clean, or it writes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments.checkout import Copy, Ran, changed

LINT_IMPORTS = str(Path(sys.executable).with_name("lint-imports"))
TOOLS = {
    "ruff check": ("-m", "ruff", "check", "--no-cache"),
    "ruff format": ("-m", "ruff", "format", "--check", "--no-cache"),
    "mypy": ("-m", "mypy", "--cache-dir=/dev/null"),
    "lint-imports": (LINT_IMPORTS, "--no-cache"),
    "its own tests": ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gadgets"),
    "those of the corpus and of discovery": (
        *("-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("tests/corpus", "tests/engine/test_discovery.py", "tests/scaffold/test_mood.py"),
    ),
    "those of what stands in containers": (
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/containers/test_compose.py"),
    ),
}

ADDED = (
    ("VoucherRedeemed", "--event"),
    ("MendGadget", "--command"),
    ("GadgetMended", "--answer", "MendGadget"),
    ("MendingRefused", "--refusal", "gadgets.MendGadget"),
    ("MendingOverdue", "--event"),
)
STARTED = """
import asyncio
import sys
from pathlib import Path

import aiohttp

from stagepost.engine.stack import Stack


async def main() -> None:
    async with (
        Stack(Path(sys.argv[1])) as stack,
        aiohttp.ClientSession(headers=stack.headers) as http,
    ):
        for path in ("/health/ready", "/journal", "/docs"):
            async with http.get(f"{stack.url('gadgets')}{path}") as answer:
                assert answer.status == 200, await answer.text()


asyncio.run(main())
"""
VOUCHER = '''

class VoucherRedeemed(Event):
    """Voucher redeemed."""

    order_id: OrderId
'''
TOLD = """\
changed contracts/payments.py
payments.VoucherRedeemed is an event, such as {{"order_id":"10248"}}
Nobody sends it, and nobody reads it yet. Next:
  contracts/payments.py:{line}: what it means, and its other fields, each with an example
"""


@pytest.fixture(scope="module")
def untouched() -> Iterator[Copy]:
    with changed() as copy:
        yield copy


@pytest.fixture(scope="module")
def extended() -> Iterator[Copy]:
    with changed() as copy:
        yield copy


async def new(copy: Copy, *args: str) -> Ran:
    return await copy.run("-m", "stagepost", "new", *args)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


async def test_a_message_and_a_service_are_added(extended: Copy) -> None:
    before = files(extended.folder)

    said = await new(extended, "message", "payments", *ADDED[0])
    after = (extended.folder / "contracts/payments.py").read_text()
    told = TOLD.format(line=1 + after.splitlines().index("class VoucherRedeemed(Event):"))
    assert (said.status, said.out[: len(told)]) == (0, told)
    said = await new(extended, "service", "gadgets")
    assert (said.status, "at port 80" in said.out) == (0, True)
    for name, *meant in ADDED[1:]:
        said = await new(extended, "message", "gadgets", name, *meant)
        assert said.status == 0, said.out

    after = files(extended.folder)
    payments = before["contracts/payments.py"].decode()
    imported = payments.replace("Answer, Command, Refusal", "Answer, Command, Event, Refusal")
    assert after["contracts/payments.py"].decode() == f"{imported}{VOUCHER}"
    assert sorted(after.keys() - before.keys()) == [
        "contracts/gadgets.py",
        "services/gadgets/__init__.py",
        "services/gadgets/app.py",
        "services/gadgets/handlers.py",
        "services/gadgets/sql/queries.sql",
        "tests/gadgets/test_gadgets.py",
    ]
    same = before.keys() - {"contracts/payments.py", "docker-compose.yml", "pyproject.toml"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


@pytest.mark.parametrize("tool", TOOLS)
async def test_what_was_added_passes_at_once(extended: Copy, tool: str) -> None:
    ran = await extended.run(*TOOLS[tool])
    assert ran.status == 0, ran.out


async def test_what_was_added_starts_with_the_others(extended: Copy) -> None:
    await extended.told("-c", STARTED, str(extended.folder / ".stagepost"))


async def test_what_was_added_is_in_the_catalogue_and_leaves_the_links_as_they_were(
    extended: Copy, untouched: Copy
) -> None:
    told = await extended.told("-m", "stagepost", "contracts", "--json")
    assert all(f'.{name}"' in told for name, *_ in ADDED)
    assert await extended.links("orchestrated") == await untouched.links("orchestrated")
    found, before = [await copy.run("-m", "stagepost", "check") for copy in (extended, untouched)]
    unsent = [ran.out.count("message that nobody sends: ") for ran in (found, before)]
    assert (found.status, unsent[0] - unsent[1]) == (1, len(ADDED))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("message payments PaymentReceived --event", "a PaymentReceived in contracts/payments.py"),
        ("message paymets VoucherRedeemed --event", "no service 'paymets'; did you mean pay"),
        ("message payments voucher_redeemed --event", "a name such as VoucherRedeemed"),
        ("message payments RedeemVoucher --event", "as VoucherRedeemed, not as RedeemV"),
        ("message payments ChargeRefused --refusal Retrieve", "did you mean RetrievePayment"),
        ("message payments VoucherRedeemed", "--command, --event, --answer TO or --refusal"),
        ("service payments", "there is a services/payments already"),
        ("service template1", "template1 means something else here"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_written(
    untouched: Copy, args: str, said: str
) -> None:
    before = files(untouched.folder)

    ran = await new(untouched, *args.split())

    assert (ran.status, said in " ".join(ran.out.split())) == (2, True), ran.out
    assert files(untouched.folder) == before


async def test_a_name_in_another_mood_is_taken_by_force() -> None:
    with changed() as copy:
        said = await new(copy, "message", "payments", "RefundCharge", "--event", "--force")
        assert said.status == 0, said.out
        assert "class RefundCharge(Event):" in (copy.folder / "contracts/payments.py").read_text()


async def test_a_checkout_whose_contracts_do_not_import_is_left_as_it_is() -> None:
    with changed() as copy:
        with (copy.folder / "contracts/payments.py").open("a") as source:
            source.write("class Broken(Command\n")
        before = files(copy.folder)

        ran = await new(copy, "message", "payments", "VoucherRedeemed", "--event")

        assert (ran.status, "does not import: SyntaxError" in ran.out) == (2, True), ran.out
        assert files(copy.folder) == before


async def test_who_is_elsewhere_is_sent_to_the_checkout(untouched: Copy, tmp_path: Path) -> None:
    code = f"import os; os.chdir({str(tmp_path)!r}); from stagepost.engine.cli import main; main()"

    ran = await untouched.run("-c", code, "new", "service", "gadgets")

    assert (ran.status, f"go to {untouched.folder}" in ran.out) == (2, True), ran.out
    assert files(tmp_path) == {}
