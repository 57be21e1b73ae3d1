"""What tests of contracts share."""

from __future__ import annotations

import pytest

from stagepost import messages
from stagepost.engine.discovery import find_messages
from stagepost.engine.findings.read import all_services


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test declare messages again; afterwards there are those of before."""
    find_messages()
    all_services()
    monkeypatch.setattr(messages, "_REGISTRY", dict(messages._REGISTRY))
