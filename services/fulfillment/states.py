"""Where an order can stand. Each state holds only what is true in it."""

from __future__ import annotations

from contracts import ordering
from stagepost.process import State


class New(State):
    """Nothing was heard of the order yet."""


class Underway(State):
    """The order is placed, and not ended."""

    __match_args__ = ("order",)
    order: ordering.OrderPlaced


class Recallable(Underway):
    """No parcel was asked for yet: a cancellation can still have its way."""


class AwaitingBoth(Recallable):
    """Payment and stock are asked for."""


class AwaitingPayment(Recallable):
    """The stock is reserved, the money is not here yet."""


class AwaitingStock(Recallable):
    """The money is here, the stock is not reserved yet."""


class Fetching(Recallable):
    """Paid and reserved; the goods are taken off the shelf."""


class Shipping(Underway):
    """The carrier was asked: from here on it decides."""


class ShippingCancelled(Underway):
    """The carrier was asked, and then the order was cancelled: the carrier's answer decides."""

    __match_args__ = ("order", "reason")
    reason: str


class Confirming(Underway):
    """The parcel left: nothing turns back from here."""

    __match_args__ = ("order", "cancellation_too_late")
    cancellation_too_late: bool


class Undoing(Underway):
    """The order cannot be fulfilled; what was done for it is being taken back."""

    __match_args__ = ("order", "reason")
    reason: str


class UndoingBoth(Undoing):
    """The money and the stock are on their way back."""


class UndoingPayment(Undoing):
    """The money is on its way back; no stock is held."""


class UndoingStock(Undoing):
    """The stock is on its way back; no money is held."""


class Rejecting(Undoing):
    """Nothing is held any more; ordering is told why."""


class Confirmed(State):
    """Paid, shipped, and the customer knows."""


class Rejected(State):
    """Neither paid nor shipped, and the customer knows why."""

    reason: str
