"""Schemathesis reads each service's document and tries to catch it lying, on the whole stack."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from stagepost.engine.discovery import find_services
from stagepost.engine.stack import Stack

CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 8
"""Cases that are made up per operation; those derived from the schema's edges come on top."""


@pytest.mark.parametrize("service", sorted(find_services()))
async def test_no_input_makes_a_service_break_its_document(
    service: str, stack: Stack, tmp_path: Path
) -> None:
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"),
        f"{stack.url(service)}/schema/openapi.json",
        *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none"),
        *("--header", f"Authorization: {stack.headers['Authorization']}"),
        "--no-color",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await run.communicate()
    assert run.returncode == 0, said.decode()
