"""Every story that an order can have, with the services as they are, walked to its end.

Each answer in time, late, twice or never; the charge taken and not told; timers at any moment;
the customer or the operator at any point. See `joint.py` for what can happen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypedDict

import pytest

from contracts import inventory, ordering, payments
from services.fulfillment.commands import refund_payment
from services.fulfillment.process import (
    AnswersDue,
    Cancel,
    Retry,
    confirm,
    order_fulfillment,
    reject,
    undo,
)
from services.fulfillment.states import (
    Confirmed,
    Confirming,
    Fetching,
    Rejected,
    Rejecting,
    Shipping,
    Underway,
    UndoingBoth,
    UndoingStock,
)
from services.inventory.stock import StockItem
from services.ordering.order import Cancellation, Order, Status
from stagepost.messages import Message
from stagepost.process import Process, Reaction, State, ignore, stay
from tests.processes.joint import Budget, System, World
from tests.processes.parties import (
    AMOUNT,
    ENOUGH,
    ORDER,
    ORDER_ID,
    TOO_LITTLE,
    visit,
)

NOTHING_SPECIAL = Budget()
EVERYTHING = Budget(cancels=1, retries=1, repeats=1)


@dataclass(frozen=True)
class Explored:
    """All joint states, and for each one those that lead to it."""

    system: System
    worlds: Sequence[World]
    before: Sequence[Sequence[int]]

    @property
    def standing(self) -> set[type[State]]:
        """The states in which the process was seen."""
        return {type(self.system.states[world.process]) for world in self.worlds}

    def stuck(self) -> Iterator[World]:
        """Joint states from which the process cannot come to its end, whatever happens."""
        ends = [n for n, world in enumerate(self.worlds) if self.system.is_done(world)]
        free, waiting = set(ends), deque(ends)
        while waiting:
            for number in self.before[waiting.popleft()]:
                if number not in free:
                    free.add(number)
                    waiting.append(number)
        return (world for number, world in enumerate(self.worlds) if number not in free)


def explore(
    process: Process[State] = order_fulfillment,
    budget: Budget = NOTHING_SPECIAL,
    lost: frozenset[str] = frozenset(),
) -> Explored:
    """Visit every joint state there is, breadth first, with enough stock and with too little."""
    system = System(process, lost)
    starts = [system.start(ORDER, stock, budget) for stock in (ENOUGH, TOO_LITTLE)]
    return Explored(system, *visit(starts, system.steps))


def faults(explored: Explored) -> set[str]:
    """Return what is wrong anywhere."""
    found = {"stuck"} if any(explored.stuck()) else set()
    # What is wrong in a joint state does not depend on what is under way in it.
    alike = {(world.process, world.minds, world.outside): world for world in explored.worlds}
    for world in alike.values():
        found.update(faults_in(explored.system, world))
    for (before, _), (after, sends) in explored.system.reactions.items():
        ended = order_fulfillment.is_done(explored.system.states[before])
        if ended and (after != before or sends):
            found.add("went on after its end")
    return found


def faults_in(system: System, world: World) -> Iterator[str]:
    """Compare where the process stands with what the others have."""
    state = system.states[world.process]
    outside = system.outsides[world.outside]
    stock = system.find(world, "inventory", StockItem, StockItem.stream("red-chair"))
    order = system.find(world, "ordering", Order, Order.stream(ORDER_ID))
    assert stock is not None
    assert order is not None
    if isinstance(state, Rejecting | Rejected):
        if outside.charged:
            yield "rejected, and money is held"
        if stock.reserved or stock.gone:
            yield "rejected, and stock is held"
        if outside.parcels:
            yield "rejected, and shipped"
    if isinstance(state, Confirming | Confirmed):
        if outside.charged != AMOUNT:
            yield "confirmed, and not paid exactly"
        if (stock.reserved, stock.gone) != (0, 2):
            yield "confirmed, and the goods are not gone"
        if outside.parcels != 1:
            yield "confirmed, and not shipped once"
    if isinstance(state, Confirmed) and order.cancellation is Cancellation.REQUESTED:
        yield "confirmed, and the customer does not know that the cancellation came too late"
    if isinstance(state, Confirmed) is not (order.status is Status.CONFIRMED) and is_end(state):
        yield "ended otherwise than the order"


def is_end(state: State) -> bool:
    return order_fulfillment.is_done(state)


@pytest.fixture(scope="module")
def everything() -> Explored:
    return explore(budget=EVERYTHING)


def test_no_story_ends_badly(everything: Explored, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{len(everything.worlds):,} joint states of an order")  # noqa: T201
    assert faults(everything) == set()


def test_every_state_of_the_process_is_part_of_some_story(everything: Explored) -> None:
    assert everything.standing == set(order_fulfillment.states)


@pytest.mark.parametrize(
    "lost",
    [
        {payments.PaymentReceived, payments.PaymentDeclined},
        {inventory.StockReserved, inventory.StockRejected},
        {inventory.GoodsFetched, inventory.GoodsMissing},
    ],
    ids=["payment", "stock", "goods"],
)
def test_an_answer_that_never_comes_stops_no_order(lost: set[type[Message]]) -> None:
    never = explore(budget=Budget(cancels=1), lost=frozenset(m.TYPE for m in lost))

    assert faults(never) == set()


def test_where_an_answer_is_lost_the_operator_has_it_said_again() -> None:
    lossy = explore(budget=Budget(retries=1, losses=1))

    assert faults(lossy) == {"stuck"}
    assert not [world for world in lossy.stuck() if world.budget.retries]


Fault: TypeAlias = Callable[[State, Message, Reaction[State]], Reaction[State]]


def rejects_at_once(state: State, message: Message, right: Reaction[State]) -> Reaction[State]:
    match right.state:
        case UndoingBoth(order, reason):
            undone = reject(order, reason)
            return replace(undone, sends=(*right.sends, *undone.sends))
    return right


def forgets_the_refund(state: State, message: Message, right: Reaction[State]) -> Reaction[State]:
    match state, message:
        case Underway(order), inventory.StockRejected(reason=reason) if right.heeded:
            return reject(order, reason)
    return right


def forgets_the_release(state: State, message: Message, right: Reaction[State]) -> Reaction[State]:
    match state, message:
        case Underway(order), payments.PaymentDeclined(reason=reason) if right.heeded:
            return reject(order, reason)
    return right


def cancels_too_late(state: State, message: Message, right: Reaction[State]) -> Reaction[State]:
    match state, message:
        case Shipping(order), ordering.OrderCancellationRequested() | Cancel():
            return undo(order, "cancelled")
    return right


def confirms_too_early(state: State, message: Message, right: Reaction[State]) -> Reaction[State]:
    match state, message:
        case Fetching(order), inventory.GoodsFetched():
            return confirm(order, too_late=False)
    return right


def confirms_unpaid(state: State, message: Message, right: Reaction[State]) -> Reaction[State]:
    match state, message:
        case Shipping(order), Retry():
            return replace(right, sends=(*right.sends, refund_payment(order)))
    return right


def waits_for_ever(state: State, message: Message, right: Reaction[State]) -> Reaction[State]:
    return ignore(state) if isinstance(state, UndoingStock) else right


def trusts_payments(state: State, message: Message, right: Reaction[State]) -> Reaction[State]:
    return ignore(state) if isinstance(message, AnswersDue) else right


def never_rests(state: State, message: Message, right: Reaction[State]) -> Reaction[State]:
    match state, message:
        case Rejected(), payments.PaymentDeclined():
            return stay(state, *right.sends, payments.RefundPayment(**asked_as(message)))
    return right


def ends_alone(state: State, message: Message, right: Reaction[State]) -> Reaction[State]:
    match right.state:
        case Confirming():
            return replace(right, state=Confirmed())
    return right


def asked_as(answer: payments.PaymentDeclined) -> dict[str, str]:
    return answer.model_dump(include={"caller", "reference", "order_id"})


class Conditions(TypedDict, total=False):
    """Under which a fault shows."""

    budget: Budget
    lost: frozenset[str]


SILENT = frozenset({payments.PaymentReceived.TYPE, payments.PaymentDeclined.TYPE})


@pytest.mark.parametrize(
    ("fault", "world", "found"),
    [
        (rejects_at_once, {}, "rejected, and money is held"),
        (forgets_the_refund, {}, "rejected, and money is held"),
        (forgets_the_release, {}, "rejected, and stock is held"),
        (cancels_too_late, {"budget": Budget(cancels=1)}, "rejected, and shipped"),
        (confirms_too_early, {}, "confirmed, and not shipped once"),
        (confirms_unpaid, {"budget": Budget(retries=1)}, "confirmed, and not paid exactly"),
        (waits_for_ever, {}, "stuck"),
        (trusts_payments, {"lost": SILENT}, "stuck"),
        (never_rests, {"budget": Budget(retries=1)}, "went on after its end"),
        (ends_alone, {}, "ended otherwise than the order"),
    ],
)
def test_a_planted_fault_is_found(fault: Fault, world: Conditions, found: str) -> None:
    def react(state: State, message: Message) -> Reaction[State]:
        return fault(state, message, order_fulfillment.react(state, message))

    planted = replace(order_fulfillment, react=react)

    assert found in faults(explore(planted, **world))
