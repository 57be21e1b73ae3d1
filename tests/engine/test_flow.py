"""The flow: a style and its transports, from the environment or stagepost.toml, kept by a store."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from stagepost.engine import serve
from stagepost.engine.batch import Batch, Commit
from stagepost.engine.database import Connection, open_pool
from stagepost.engine.discovery import find_services
from stagepost.engine.flow import Flow, named_transports, read_flow
from stagepost.engine.flow_kept import change_flow, check_flow, kept_flow
from stagepost.engine.migrations import migrate
from stagepost.engine.settings import Settings
from stagepost.engine.store_postgres import PostgresStore
from stagepost.errors import BadSettings
from tests.conftest import Database, NewDatabase
from tests.engine.stores import heard

SYNCHRONOUS = Flow("synchronous")
NAMES = tuple(find_services())


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STAGEPOST_LINKS", raising=False)


def write(text: str) -> None:
    Path("stagepost.toml").write_text(text)


# Which services run.


def test_all_services_run_where_none_is_named() -> None:
    assert tuple(Flow().services) == NAMES


def test_only_those_run_that_are_named_and_have_something_to_do() -> None:
    some = frozenset({"ordering", "fulfillment"})
    assert tuple(Flow(only=some).services) == ("ordering", "fulfillment")
    assert tuple(Flow("choreographed", only=some).services) == ("ordering",)


def test_who_runs_makes_no_other_flow() -> None:
    assert Flow(only=frozenset({"ordering"})) == Flow()


# Where it is read.


def test_where_nothing_is_said_nothing_is_named() -> None:
    assert read_flow("orchestrated") == Flow()
    assert str(Flow()) == "orchestrated"


def test_stagepost_toml_names_transports() -> None:
    write('[links]\n"fulfillment->payments" = "http"\ndefault = "kafka"\n')
    flow = read_flow("orchestrated")
    assert flow.transports == {"fulfillment->payments": "http", "default": "kafka"}
    assert str(flow) == "orchestrated, default over kafka, fulfillment->payments over http"
    assert flow.links.default == "kafka"


def test_an_empty_stagepost_toml_names_nothing() -> None:
    write("")
    assert named_transports() == {}


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write('[links]\ndefault = "kafka"\n')
    monkeypatch.setenv("STAGEPOST_LINKS", '{"fulfillment->payments": "http"}')
    assert named_transports() == {"fulfillment->payments": "http"}


def test_what_is_said_at_start_goes_before_the_default_that_is_named() -> None:
    write('[links]\ndefault = "nats"\n"fulfillment->payments" = "http"\n')
    assert read_flow("orchestrated", "kafka").transports == {
        "default": "kafka",
        "fulfillment->payments": "http",
    }


def test_a_link_of_another_style_is_left_out_and_one_of_none_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write('[links]\n"fulfillment->payments" = "http"\n"payments->inventory" = "kafka"\n')
    assert read_flow("orchestrated").transports == {"fulfillment->payments": "http"}
    assert read_flow("choreographed").transports == {"payments->inventory": "kafka"}
    monkeypatch.setenv("STAGEPOST_LINKS", '{"fulfillment -> payments": "http"}')
    assert read_flow("choreographed") == Flow("choreographed")
    monkeypatch.setenv("STAGEPOST_LINKS", '{"payments->fulfilment": "http"}')
    flow = read_flow("choreographed")
    with pytest.raises(BadSettings, match="'fulfilment' that does not run"):
        flow.links.between(flow.services)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[links\n", "stagepost.toml is no TOML"),
        ('[link]\n"a->b" = "http"\n', "a table 'link': there are only [links] and [external]"),
        ("[links]\na = 1\n", "[links] in stagepost.toml: 'a' must name a transport"),
        ("links = 7\n", "[links] in stagepost.toml must be a table"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(text: str, said: str) -> None:
    write(text)
    with pytest.raises(BadSettings) as refused:
        named_transports()
    assert said in str(refused.value)


def test_a_file_of_bytes_that_are_no_text_says_so() -> None:
    Path("stagepost.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadSettings, match=r"stagepost\.toml is no TOML"):
        named_transports()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "STAGEPOST_LINKS is no JSON"),
        ("[]", "STAGEPOST_LINKS must name transports"),
        ('{"a->b": 1}', "STAGEPOST_LINKS must name transports"),
        ("", "STAGEPOST_LINKS is no JSON"),
    ],
)
def test_an_environment_that_cannot_be_read_says_why(
    monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setenv("STAGEPOST_LINKS", text)
    with pytest.raises(BadSettings, match=said):
        named_transports()


def test_an_unknown_style_or_transport_is_refused_by_name() -> None:
    with pytest.raises(BadSettings, match="no style 'sideways'"):
        _ = Flow("sideways").services
    with pytest.raises(BadSettings, match="'pigeon'"):
        _ = Flow(transports={"default": "pigeon"}).links


def test_who_works_synchronously_commands_over_http() -> None:
    assert SYNCHRONOUS.links.commands == "http"
    assert Flow().links.commands is None


# Kept by a store.


async def test_the_first_flow_is_kept_and_another_refused_by_name(
    new_database: NewDatabase,
) -> None:
    database = await new_database("payments")
    pool = await open_pool(database.service, size=1)
    await check_flow(pool, "payments", SYNCHRONOUS)
    await check_flow(pool, "payments", SYNCHRONOUS)
    with pytest.raises(BadSettings) as refused:
        await check_flow(pool, "payments", Flow())
    assert "payments belongs to services that are synchronous" in str(refused.value)
    with pytest.raises(BadSettings, match="default over kafka"):
        await check_flow(pool, "payments", Flow("synchronous", {"default": "kafka"}))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("UPDATE flow SET style = 'orchestrated'")
    await pool.close()


async def test_a_store_is_of_no_flow_until_it_is_started_and_its_owner_may_change_it(
    database: Database, new_database: NewDatabase
) -> None:
    fresh = await new_database("payments")
    owner: Connection = await asyncpg.connect(fresh.owner)
    assert await kept_flow(owner) is None
    for flow in (SYNCHRONOUS, Flow("orchestrated", {"default": "kafka"})):
        await change_flow(owner, flow)
        assert await kept_flow(owner) == flow
    await owner.close()


async def test_a_store_from_before_flows_were_noted_is_orchestrated(
    new_database: NewDatabase,
) -> None:
    database = await new_database("payments")
    store = await PostgresStore.connect(database.service, "payments")
    await store.append(Batch([Commit(heard("a"))]))
    await store.close()
    owner = await asyncpg.connect(database.owner)
    await owner.execute("DROP TABLE flow; DELETE FROM migrations WHERE name = '007_flow.sql'")

    await migrate(database.owner, [find_services()["payments"].sql])

    assert await kept_flow(owner) == Flow()
    await owner.close()


_WAITS_FOR_A_LOCK = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'"""


async def test_who_starts_beside_the_first_waits_for_it_and_belongs_to_the_same_flow(
    new_database: NewDatabase,
) -> None:
    database = await new_database("payments")
    pool = await open_pool(database.service, size=2)
    owner = await asyncpg.connect(database.owner)
    under_way = owner.transaction()
    await under_way.start()
    await change_flow(owner, Flow())
    second = asyncio.create_task(check_flow(pool, "payments", Flow()))
    async with asyncio.timeout(5):
        while not await pool.fetchval(_WAITS_FOR_A_LOCK):
            await asyncio.sleep(0.01)
    await under_way.commit()
    await second
    await owner.close()
    await pool.close()


async def test_a_service_that_is_started_in_another_flow_does_not_start(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "stop_on_signals", lambda _stop: None)
    database = await new_database("payments")
    pool = await open_pool(database.service, size=1)
    await check_flow(pool, "payments", SYNCHRONOUS)
    await pool.close()
    settings = Settings(
        database=SecretStr(database.service), nats_url=SecretStr("nats://127.0.0.1:1"), port=0
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(serve, "_listen", lambda *_: listening)
        with pytest.raises(BadSettings, match="the store of payments belongs to services that are"):
            await serve.run_service("payments", Flow(), settings)
