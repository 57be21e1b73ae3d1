"""docker-compose.yml as it is written: what runs, who may do what, and what can be set."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.demo.__main__ import WINDOWS
from stagepost.engine.discovery import find_services, find_worlds
from stagepost.engine.stack.containers import BROKER, BROKER_STORE, INIT, OWNERS, POSTGRES
from stagepost.engine.stack.nats import binary as nats_server
from stagepost.engine.stack.postgres import binary as postgres_binary
from stagepost.engine.stack.server import SETTINGS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
PARTS: dict[str, dict[str, Any]] = COMPOSE["services"]
PORTS = {name: service.port for name, service in find_services().items()} | {
    name: port for name, (port, _) in find_worlds().items()
}
OURS = {name: part for name, part in PARTS.items() if name not in (POSTGRES, BROKER)}
STEPS = {name for name, part in PARTS.items() if part["restart"] == "no"}
INIT_SCRIPT = "./platform/init.sh"
SETTING = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")


def published(part: dict[str, Any]) -> list[list[str]]:
    return [mapping.split(":") for mapping in part.get("ports", [])]


def test_every_service_and_the_world_outside_run_and_nothing_else_of_theirs() -> None:
    run = {
        part["command"][1]: name
        for name, part in PARTS.items()
        if part.get("command", [None])[0] == "run"
    }
    assert run == {name: name for name in PORTS}


def test_the_demonstration_waits_for_all_of_them() -> None:
    assert PARTS["demo"]["depends_on"].keys() == PORTS.keys()


@pytest.mark.parametrize("name", PARTS)
def test_no_image_is_the_latest(name: str) -> None:
    image, _, tag = PARTS[name]["image"].partition(":")
    assert image
    assert tag
    assert "latest" not in tag


@pytest.mark.parametrize("name", PARTS.keys() - STEPS)
def test_what_stays_up_says_whether_it_is_healthy_and_is_started_again(name: str) -> None:
    assert PARTS[name]["healthcheck"]["test"][0].startswith("CMD")
    assert PARTS[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", OURS)
def test_ours_runs_without_rights_and_writes_nowhere_but_in_volumes(name: str) -> None:
    part = OURS[name]
    assert part["image"] == OURS["prepare"]["image"]
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert name == "prepare" or "cap_add" not in part


def test_the_image_is_built_once_by_whom_the_others_wait_for() -> None:
    assert {name: part["build"] for name, part in PARTS.items() if "build" in part} == {
        "prepare": "."
    }


@pytest.mark.parametrize("name", PARTS)
def test_everything_has_its_limits(name: str) -> None:
    part = PARTS[name]
    assert part["mem_limit"]
    assert part["pids_limit"]
    assert part["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", PORTS)
def test_a_service_runs_as_the_user_for_whom_its_files_are(name: str) -> None:
    port = PORTS[name]
    assert PARTS[name]["user"] == f"{port}:{port}"
    assert PARTS[name]["environment"]["STAGEPOST_SECRETS"] == f".stagepost/secrets/{name}"
    assert PARTS[name]["healthcheck"]["test"][-1] == str(port)


def test_http_is_published_on_this_machine_only_and_each_service_at_its_own_port() -> None:
    mappings = [mapping for part in PARTS.values() for mapping in published(part)]
    assert {host for host, _, _ in mappings} == {"127.0.0.1"}
    assert {int(inside) for _, outside, inside in mappings if outside == inside} == set(
        PORTS.values()
    )


def test_what_may_run_several_times_has_a_range_and_somebody_at_its_usual_port() -> None:
    assert published(PARTS["payments"]) == [["127.0.0.1", "8020-8029", "8002"]]
    assert PARTS["front"]["command"] == ["8002", f"payments:{PORTS['payments']}"]


@pytest.mark.parametrize("name", [POSTGRES, BROKER, *STEPS])
def test_neither_a_database_nor_the_broker_nor_a_step_is_published(name: str) -> None:
    assert "ports" not in PARTS[name]


@pytest.mark.parametrize("name", PARTS)
def test_whoever_waits_waits_for_what_is_healthy_or_done(name: str) -> None:
    for other, how in PARTS[name].get("depends_on", {}).items():
        done = "service_completed_successfully" if other in STEPS else "service_healthy"
        assert how == {"condition": done}


def test_volumes_have_names() -> None:
    used = {mount.split(":")[0] for part in PARTS.values() for mount in part.get("volumes", [])}
    assert used - {INIT_SCRIPT} == COMPOSE["volumes"].keys()


def test_the_stacks_folder_is_written_by_who_prepares_it_alone() -> None:
    writers = {
        name
        for name, part in PARTS.items()
        for mount in part.get("volumes", [])
        if mount.startswith("stack:") and not mount.endswith(":ro")
    }
    assert writers == {"prepare"}
    assert PARTS["prepare"]["network_mode"] == "none"


def test_the_servers_are_told_where_what_they_must_know_is() -> None:
    postgres, nats = PARTS[POSTGRES], PARTS[BROKER]
    assert postgres["environment"]["POSTGRES_PASSWORD_FILE"] == (
        "/run/stagepost/secrets/postgres/password"
    )
    assert postgres["environment"]["INIT_SQL"] == f"/run/stagepost/secrets/postgres/{INIT}"
    assert f"{INIT_SCRIPT}:/docker-entrypoint-initdb.d/init.sh:ro" in postgres["volumes"]
    assert postgres["command"][2::2] == [f"{name}={value}" for name, value in SETTINGS.items()]
    assert nats["command"][-1] == "/run/stagepost/secrets/nats/nats.conf"
    assert f"nats:{BROKER_STORE}" in nats["volumes"]
    assert OWNERS == {POSTGRES: 999, BROKER: 0}


def test_the_servers_are_those_that_the_tests_run() -> None:
    assert PARTS[POSTGRES]["image"] == f"postgres:{version_of(postgres_binary('postgres'))}"
    assert PARTS[BROKER]["image"] == f"nats:{version_of(nats_server())}-alpine"


def version_of(program: Path) -> str:

    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    (version,) = re.findall(r"\d+(?:\.\d+)+", said.stdout)
    return str(version)


def test_all_that_can_be_set_stands_in_the_example_as_it_is_without_it() -> None:
    asked = dict(SETTING.findall(TEXT))
    lines = (ROOT / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert {name: value.strip("'") for name, value in given.items()} == asked


def test_who_prepares_sees_all_that_can_be_set_and_so_can_refuse_it() -> None:
    seen = json.dumps(PARTS["prepare"]["environment"])
    assert {name for name, _ in SETTING.findall(seen)} == {
        name for name, _ in SETTING.findall(TEXT)
    }


def test_the_timers_are_those_of_the_demonstration() -> None:
    timers = PARTS["ordering"]["environment"]["STAGEPOST_TIMERS"]
    assert json.loads(SETTING.sub(lambda setting: setting[2], timers)) == WINDOWS
