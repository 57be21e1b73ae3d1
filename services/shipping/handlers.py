"""What shipping does about each message."""

from __future__ import annotations

from collections.abc import Mapping

from contracts import shipping
from services.shipping import carrier
from services.shipping.parcel import Parcel, Status
from stagepost.errors import BadMessage
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Answer, Message


def ship_goods(command: shipping.ShipGoods, load: Load) -> Decision:
    """Ask the carrier to take the parcel; a repetition only hears again what came of it."""
    parcel = load.one(Parcel, Parcel.stream(command.caller, command.reference))
    if parcel is not None:
        return Decision(sends=_outcome(parcel))
    parcel = Parcel(
        caller=command.caller,
        reference=command.reference,
        order_id=command.order_id,
        lines=command.lines,
        ship_to=command.ship_to,
    )
    dispatch = carrier.Dispatch(
        order_id=command.order_id,
        reference=_at_carrier(parcel),
        lines=command.lines,
        ship_to=command.ship_to,
    )
    return Decision((parcel,), (dispatch,))


def dispatched(answer: carrier.Dispatched, load: Load) -> Decision:
    """Note whether the parcel left the house."""
    parcel = _parcel_of(answer.call, load)
    if parcel.status is not Status.REQUESTED:
        return Decision()
    if answer.accepted:
        parcel.ship(tracking=answer.tracking or "not given by the carrier")
    else:
        parcel.refuse(reason=answer.reason or "refused by the carrier")
    return Decision((parcel,), _outcome(parcel))


def _outcome(parcel: Parcel) -> tuple[Answer, ...]:
    """Return the answer to ShipGoods, none while the carrier has not decided."""
    match parcel.status:
        case Status.REQUESTED:
            return ()
        case Status.SHIPPED:
            return (shipping.GoodsShipped(**_address(parcel), tracking=parcel.tracking),)
        case Status.REFUSED:
            return (shipping.ShipmentRefused(**_address(parcel), reason=parcel.reason),)


def _address(parcel: Parcel) -> dict[str, str]:
    """Return what every answer carries: whose parcel this is, and for which order."""
    return {"caller": parcel.caller, "reference": parcel.reference, "order_id": parcel.order_id}


def _at_carrier(parcel: Parcel) -> str:
    """Return the reference under which the carrier knows the parcel."""
    return f"{parcel.caller}/{parcel.reference}"


def _parcel_of(call: carrier.Dispatch, load: Load) -> Parcel:
    """Return the parcel that a call was made for: the way back from `_at_carrier`."""
    caller, _, reference = call.reference.partition("/")
    parcel = load.one(Parcel, Parcel.stream(caller, reference))
    if parcel is None:
        raise BadMessage(
            f"{call.TYPE} was answered for {call.reference!r}, which was never requested"
        )
    return parcel


HANDLERS: Mapping[type[Message], Handler] = {
    shipping.ShipGoods: ship_goods,
    carrier.Dispatched: dispatched,
}
