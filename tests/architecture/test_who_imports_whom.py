"""The rules of imports hold, and each of them finds what breaks it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("platform/stagepost", "contracts", "services")

PLANTED = {
    "vocabulary": ("platform/stagepost/view.py", "import time"),
    "library": ("platform/stagepost/engine/desk.py", "import contracts.payments"),
    "contracts": ("contracts/payments.py", "import stagepost.engine.store"),
    "services": ("services/shipping/handlers.py", "import services.ordering.order"),
    "replay": ("platform/stagepost/engine/replay/fold.py", "import stagepost.engine.relay"),
    "thinking": ("services/payments/payment.py", "import asyncio"),
}
"""By contract: which file would break it, and with which import."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for source in SOURCES:
        shutil.copytree(ROOT / source, tmp_path / source)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken_contracts(checkout: Path) -> set[str]:
    """Return the names of the contracts that import-linter finds broken."""
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": f"{checkout / 'platform'}:{checkout}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Contracts:" in found.stdout, found.stdout + found.stderr
    return set(re.findall(r"^(.+) BROKEN\b", found.stdout, re.MULTILINE))


def name_of(contract: str) -> str:
    text = (ROOT / "pyproject.toml").read_text()
    after = text.split(f'id = "{contract}"\nname = "', 1)[1]
    return after.split('"', 1)[0]


def test_every_contract_holds() -> None:
    assert broken_contracts(ROOT) == set()


@pytest.mark.parametrize("contract", PLANTED)
def test_a_bad_import_is_found(contract: str, copy: Path) -> None:
    file, bad_import = PLANTED[contract]
    with (copy / file).open("a") as source:
        source.write(f"\n{bad_import}\n")

    assert name_of(contract) in broken_contracts(copy)


def test_every_contract_was_seen_to_fail() -> None:
    contracts = (ROOT / "pyproject.toml").read_text().split("[[tool.importlinter.contracts]]\n")[1:]

    assert {text.split('"', 2)[1] for text in contracts} == set(PLANTED)


def test_the_platform_folder_is_no_package() -> None:
    """It would shadow Python's own `platform`."""
    assert not (ROOT / "platform" / "__init__.py").exists()
