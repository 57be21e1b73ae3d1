"""What a process has heard, through its own code and through other code; snapshots of a shop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from contracts import inventory, payments
from services.demo.promises import SESSION, Audit
from services.fulfillment.process import order_fulfillment, react
from services.fulfillment.states import AwaitingBoth, Fetching, State
from stagepost.engine.database import PLANS, READ_ONLY, Connection, open_pool
from stagepost.engine.replay.log import Log
from stagepost.engine.replay.other import load_react
from stagepost.engine.replay.rerun import Rerun, only_process, rerun
from stagepost.engine.replay.verify import Checked, ViewsCheck, check_snapshots
from stagepost.errors import BadSettings
from stagepost.messages import Message
from stagepost.process import Reaction, ignore, move
from tests.conftest import NewDatabase
from tests.promises import world
from tests.promises.conftest import ORDERS, STOCK

OpenLog = Callable[[str], Any]


@pytest.fixture(scope="module")
async def dsn(new_database: NewDatabase) -> str:
    """A shop that has run, each service in a schema."""
    database = await new_database("ordering")
    connection = await asyncpg.connect(database.owner, server_settings=SESSION)
    await world.make_schemas(connection)
    await world.run_shop(database.owner, ORDERS, STOCK, Audit(connection))
    await connection.close()
    return database.owner


@pytest.fixture
async def log_of(dsn: str) -> AsyncIterator[OpenLog]:
    pools = []

    async def open_log(service: str) -> Log:
        pools.append(await open_pool(world.in_schema(dsn, service), settings=READ_ONLY))
        return Log(world.SERVICES[service], pools[-1])

    yield open_log
    for pool in pools:
        await pool.close()


async def through(log_of: OpenLog, other: Callable[[State, Message], Reaction[State]]) -> Rerun:
    return await rerun(await log_of("fulfillment"), order_fulfillment, other, lambda _: None)


async def test_the_process_s_own_code_decides_as_it_did(log_of: OpenLog) -> None:
    found = await through(log_of, react)
    assert found.keys == len(ORDERS)
    assert found.decisions > 4 * len(ORDERS)
    assert found.differing == 0


async def test_another_state_is_found_once_a_key(log_of: OpenLog) -> None:
    """It fetches as soon as there is stock, whether it is paid or not."""

    def hasty(state: State, message: Message) -> Reaction[State]:
        match state, message:
            case AwaitingBoth(order), inventory.StockReserved():
                return move(Fetching(order=order))
            case _:
                return react(state, message)

    found = await through(log_of, hasty)
    (kind,) = found.kinds.values()
    assert (kind.kind, kind.heard) == ("state", "inventory.StockReserved")
    assert (kind.recorded, kind.would) == ("AwaitingPayment", "Fetching")
    assert kind.keys == found.differing == len(kind.first)
    assert {one.key for one in kind.first} <= {order.order_id for order in ORDERS}


async def test_other_messages_other_bodies_and_what_is_ignored_are_kinds_of_their_own(
    log_of: OpenLog,
) -> None:
    def silent(state: State, message: Message) -> Reaction[State]:
        reaction = react(state, message)
        return Reaction(reaction.state, (), reaction.heeded)

    def dear(state: State, message: Message) -> Reaction[State]:
        reaction = react(state, message)
        sends = [
            m.model_copy(update={"amount": m.amount + 1})
            if isinstance(m, payments.RetrievePayment)
            else m
            for m in reaction.sends
        ]
        return Reaction(reaction.state, tuple(sends), reaction.heeded)

    def deaf(state: State, message: Message) -> Reaction[State]:
        return ignore(state)

    def broken(state: State, message: Message) -> Reaction[State]:
        raise KeyError("oh")

    for other, kind in ((silent, "sends"), (dear, "bodies"), (deaf, "ignores"), (broken, "fails")):
        found = await through(log_of, other)
        assert {each.kind for each in found.kinds.values()} == {kind}
        assert found.differing == len(ORDERS)


async def test_who_has_no_process_is_told_who_has(log_of: OpenLog) -> None:
    with pytest.raises(BadSettings, match="payments has no process; one have: fulfillment"):
        only_process(await log_of("payments"), ["fulfillment"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("services.fulfillment.process", "write it as my_module:react"),
        ("no_such_module:react", "no_such_module cannot be imported: ModuleNotFound"),
        ("services.fulfillment.process:recat", "did you mean react"),
        ("services.fulfillment.process:CALLER", "is str, not a function"),
    ],
)
def test_code_that_is_not_there_is_a_wrong_call(name: str, said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        load_react(name)


def test_code_is_found_by_its_name() -> None:
    assert load_react("services.fulfillment.process:react") is react


# All that a shop keeps.


async def connect(dsn: str, service: str) -> Connection:
    settings = PLANS | READ_ONLY
    return await asyncpg.connect(world.in_schema(dsn, service), server_settings=settings)


async def test_every_view_and_snapshot_of_a_shop_is_equal(dsn: str, log_of: OpenLog) -> None:
    checked: list[Checked] = []
    for name in world.SERVICES:
        log, connection = await log_of(name), await connect(dsn, name)
        checked += await ViewsCheck(connection, log, lambda _: None).run()
        checked.append(await check_snapshots(log, lambda _: None))
        await connection.close()
    assert [one for one in checked if not one.is_equal] == []
    assert len([one for one in checked if one.what not in {"events", "snapshots"}]) == 7


SNAPSHOT_OF_CHAIRS = """
    INSERT INTO inventory.snapshots
    SELECT originator_id, 2, 'inventory.StockItem', convert_to('{"class_version": 1, "values":
             {"sku": "chair", "on_hand": 10, "reserved": 0, "gone": 0}}', 'UTF8')
      FROM inventory.stored_events
     WHERE topic = 'inventory.StockItem.Declared' AND convert_from(state, 'UTF8') LIKE '%chair%'
"""


OTHER_RELEASE = """
    state = convert_to(replace(convert_from(state, 'UTF8'), 'n": 1,', 'n": 9,'), 'UTF8')"""


@pytest.mark.parametrize(
    ("harm", "fields"),
    [
        ("state = state", []),
        (OTHER_RELEASE, []),
        (
            "state = convert_to(replace(convert_from(state, 'UTF8'), '10', '11'), 'UTF8')",
            [("on_hand", 11, 10)],
        ),
        ("originator_version = 1", [("on_hand", 10, 0)]),
        ("originator_version = 1000", [("version", 1000, None)]),
        ("state = '{'", [("state", None, "readable")]),
        ("originator_id = gen_random_uuid()", [(None, None, None)]),
    ],
    ids=["right", "of another release", "other values", "earlier", "ahead", "broken", "no stream"],
)
async def test_a_snapshot_that_its_events_do_not_make_is_named_by_field(
    dsn: str, log_of: OpenLog, harm: str, fields: list[tuple[Any, Any, Any]]
) -> None:
    owner = await asyncpg.connect(dsn)
    await owner.execute(SNAPSHOT_OF_CHAIRS)
    await owner.execute(f"UPDATE inventory.snapshots SET {harm}")
    try:
        checked = await check_snapshots(await log_of("inventory"), lambda _: None)
    finally:
        await owner.execute("DELETE FROM inventory.snapshots")
        await owner.close()
    assert checked.count == 1
    assert checked.differences == bool(fields)
    for field, stored, replayed in fields:
        found = next(one for one in checked.first if one.field == field)
        assert found.key.startswith("inventory.StockItem ")
        assert stored in (None, found.stored)  # one may be a dict
        assert replayed in (None, found.replayed)
