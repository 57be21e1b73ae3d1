"""The flow: a style and its transports, from the environment or stagepost.toml, kept by a store."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from stagepost.engine import serve
from stagepost.engine.batch import Batch, Commit, Cursor, CursorId, Handled
from stagepost.engine.database import Connection, open_pool
from stagepost.engine.discovery import find_services
from stagepost.engine.flow import Flow, named_transports, read_flow
from stagepost.engine.flow_kept import change_flow, check_flow, kept_flow
from stagepost.engine.links import CONSUMER
from stagepost.engine.migrations import migrate
from stagepost.engine.settings import Settings
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.flow_change import settle_flow
from stagepost.engine.store import Store
from stagepost.engine.store_postgres import PostgresStore
from stagepost.errors import BadSettings, StackError
from tests.conftest import Database, NewDatabase
from tests.engine.stores import begin_anew, called, heard, reminder, told, writes

SYNCHRONOUS = Flow("synchronous")
NAMES = tuple(find_services())


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STAGEPOST_LINKS", raising=False)


def write(text: str) -> None:
    Path("stagepost.toml").write_text(text)


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[links\n", "stagepost.toml is no TOML"),
        ('[link]\n"a->b" = "http"\n', "a table 'link': there is only [links]"),
        ("[links]\na = 1\n", "[links] in stagepost.toml must name transports"),
        ("links = 7\n", "[links] in stagepost.toml must name transports"),
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


# From one to the other.

Stores = dict[str, PostgresStore]


@pytest.fixture(scope="session")
async def shop(new_database: NewDatabase) -> dict[str, Database]:
    return {name: await new_database(name) for name in NAMES}


@pytest.fixture
async def stores(shop: dict[str, Database], databases: Databases) -> AsyncIterator[Stores]:
    """Empty stores of every service."""
    opened = {}
    for name, database in shop.items():
        owner = await asyncpg.connect(database.owner)
        await owner.execute(
            "TRUNCATE flow, outbox, inbox, calls, timers, dead_letters, cursors, stored_events"
            " CASCADE; UPDATE incarnation SET incarnation = 1"
        )
        await owner.close()
        opened[name] = await PostgresStore.connect(database.service, name)
    yield opened
    for store in opened.values():
        await store.close()


@pytest.fixture
def settle(shop: dict[str, Database]) -> Callable[[Flow], Awaitable[None]]:
    async def settle(flow: Flow) -> None:
        await settle_flow(list(NAMES), lambda name: shop[name].owner, flow)

    return settle


Settle = Callable[[Flow], Awaitable[None]]


async def kept_by(shop: dict[str, Database]) -> set[str]:
    found = set()
    for database in shop.values():
        owner = await asyncpg.connect(database.owner)
        found.add(str(await kept_flow(owner)))
        await owner.close()
    return found


async def test_new_stores_take_any_flow_and_drained_ones_another(
    stores: Stores, settle: Settle, shop: dict[str, Database]
) -> None:
    for flow in (SYNCHRONOUS, Flow(), Flow("choreographed"), SYNCHRONOUS, SYNCHRONOUS):
        await settle(flow)
        assert await kept_by(shop) == {flow.style}


async def _undrained(store: Store, **of_commit: Any) -> None:
    await store.append(Batch([writes("a", 1, **of_commit)]))


@pytest.mark.parametrize(
    ("undone", "said"),
    [
        ({"sends": [called("a")]}, "payments has 1 calls waiting"),
        ({"timers": [reminder("a")]}, "payments has 1 timers waiting"),
        ({"parks": True, "handled": Handled.PARKED}, "payments has 1 dead letters waiting"),
        ({"sends": [told("a")]}, "fulfillment has 1 messages of payments to read"),
    ],
    ids=["a call", "a timer", "a dead letter", "a message unread"],
)
async def test_while_work_is_not_done_another_flow_is_refused_and_says_what_it_is(
    stores: Stores, settle: Settle, shop: dict[str, Database], undone: dict[str, Any], said: str
) -> None:
    await settle(Flow())
    await stores["payments"].append(Batch([Commit(heard("a"), **undone)]))
    with pytest.raises(StackError) as refused:
        await settle(SYNCHRONOUS)
    assert said in str(refused.value)
    assert "services that are orchestrated" in str(refused.value)
    assert await kept_by(shop) == {"orchestrated"}
    await settle(Flow())  # as they are they may go on


async def test_a_message_that_was_read_or_passed_is_no_work(stores: Stores, settle: Settle) -> None:
    await settle(Flow())
    await stores["payments"].append(Batch([Commit(heard("a"), sends=[told("a"), told("b")])]))
    first, second = await stores["payments"].outbox(0, 10)
    reader = stores["fulfillment"]
    await reader.append(Batch([Commit(first)]))
    with pytest.raises(StackError, match="fulfillment has 1 messages of payments"):
        await settle(SYNCHRONOUS)
    cursor = CursorId(CONSUMER, "payments", 1)
    await reader.append(Batch(cursors=[Cursor(cursor, 0, second.position)]))
    await settle(SYNCHRONOUS)


async def test_a_letter_that_was_given_up_is_no_work(stores: Stores, settle: Settle) -> None:
    await settle(Flow())
    store = stores["payments"]
    await store.append(Batch([Commit(heard("a"), parks=True, handled=Handled.PARKED)]))
    (letter,) = await store.dead_letters(0, 10)
    await store.discard([letter.id], "nobody wants it")
    await settle(SYNCHRONOUS)


async def test_of_stores_with_several_flows_each_must_be_done(
    stores: Stores, settle: Settle, shop: dict[str, Database]
) -> None:
    """A change that was cut off in the middle is finished by the next."""
    await settle(Flow())
    owner = await asyncpg.connect(shop["shipping"].owner)
    await change_flow(owner, SYNCHRONOUS)
    await owner.close()
    await settle(SYNCHRONOUS)
    assert await kept_by(shop) == {"synchronous"}


async def test_what_was_told_in_one_style_is_not_done_again_in_another(
    stores: Stores, settle: Settle
) -> None:
    """Payments would charge every order of old a second time."""
    await settle(Flow())
    placed = told("a", type="ordering.OrderPlaced")
    await stores["ordering"].append(Batch([Commit(heard("a"), sends=[placed])]))
    (order,) = await stores["ordering"].outbox(0, 10)
    await stores["fulfillment"].append(Batch([Commit(order)]))

    await settle(Flow("choreographed"))

    at = CursorId(CONSUMER, "ordering", order.incarnation)
    for reader in ("payments", "inventory", "shipping"):
        cursor = (await stores[reader].cursors(CONSUMER))[at]
        assert cursor.at == order.position
    assert await stores["fulfillment"].cursors(CONSUMER) == {}  # it has nothing to do there


async def test_a_cursor_that_is_further_stays_where_it_is(stores: Stores, settle: Settle) -> None:
    await settle(Flow())
    placed = told("a", type="ordering.OrderPlaced")
    await stores["ordering"].append(Batch([Commit(heard("a"), sends=[placed])]))
    cursor = CursorId(CONSUMER, "ordering", 1)
    await stores["payments"].append(Batch(cursors=[Cursor(cursor, 0, 1000, 77)]))
    await stores["fulfillment"].append(Batch(cursors=[Cursor(cursor, 0, 1000)]))

    await settle(Flow("choreographed"))

    stands = (await stores["payments"].cursors(CONSUMER))[cursor]
    assert (stands.at, stands.hint) == (1000, 77)


async def test_a_store_that_is_new_hears_what_was_told_before_it_was_there(
    stores: Stores, settle: Settle, shop: dict[str, Database]
) -> None:
    await settle(Flow("choreographed"))
    placed = told("a", type="ordering.OrderPlaced")
    await stores["ordering"].append(Batch([Commit(heard("a"), sends=[placed])]))
    cursor = CursorId(CONSUMER, "ordering", 1)
    for reader in ("payments", "inventory", "shipping"):
        await stores[reader].append(Batch(cursors=[Cursor(cursor, 0, 1000)]))
    owner = await asyncpg.connect(shop["fulfillment"].owner)
    await owner.execute("TRUNCATE flow")
    await owner.close()

    await settle(Flow())

    assert await stores["fulfillment"].cursors(CONSUMER) == {}


async def test_what_was_told_again_after_a_set_back_is_work_as_well(
    stores: Stores, settle: Settle
) -> None:
    """It stands at places that the reader had passed in the former life."""
    await settle(Flow())
    source, reader = stores["payments"], stores["fulfillment"]
    former = CursorId(CONSUMER, "payments", 1)
    await reader.append(Batch(cursors=[Cursor(former, 0, 1000)]))
    await source.append(Batch([Commit(heard("a"), sends=[told("a"), told("b")])]))
    assert await begin_anew(source, since=0) == 2
    first, second = await source.outbox(0, 10)
    now = CursorId(CONSUMER, "payments", 2)
    await reader.append(Batch(cursors=[Cursor(now, 0, first.position)]))

    with pytest.raises(StackError, match="fulfillment has 1 messages of payments to read"):
        await settle(SYNCHRONOUS)

    await reader.append(Batch(cursors=[Cursor(now, first.position, second.position)]))
    await settle(SYNCHRONOUS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Flow(), Flow(transports={"default": "nats"})),
        (
            Flow(transports={"fulfillment->payments": "http"}),
            Flow(transports={"fulfillment -> payments": "http"}),
        ),
    ],
)
async def test_a_flow_that_is_only_written_otherwise_is_no_other(
    stores: Stores, settle: Settle, shop: dict[str, Database], one: Flow, other: Flow
) -> None:
    await settle(one)
    await _undrained(stores["payments"], sends=[called("a")])
    await settle(other)
    pool = await open_pool(shop["payments"].service, size=1)
    await check_flow(pool, "payments", one)
    await pool.close()


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
    await asyncio.sleep(0.2)
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
