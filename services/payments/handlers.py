"""What payments does about each message."""

from __future__ import annotations

from collections.abc import Mapping

from contracts import payments
from services.payments import provider
from services.payments.payment import Payment, Status
from stagepost.errors import BadMessage
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Answer, Message

REFUNDED_BEFORE = "barred: refunded before"


def retrieve_payment(command: payments.RetrievePayment, load: Load) -> Decision:
    """Have the provider charge the amount; a repetition only hears again what came of it."""
    payment = load.one(Payment, Payment.stream(command.caller, command.reference))
    if payment is not None:
        return Decision(sends=_outcome(payment))
    payment = Payment(
        caller=command.caller,
        reference=command.reference,
        order_id=command.order_id,
        amount=command.amount,
        currency=command.currency,
        payment_token=command.payment_token,
    )
    charge = provider.Charge(
        order_id=command.order_id,
        reference=_at_provider(payment),
        amount=command.amount,
        currency=command.currency,
        payment_token=command.payment_token,
    )
    return Decision((payment,), (charge,))


def charged(answer: provider.Charged, load: Load) -> Decision:
    """Note whether the money is ours; if a refund was asked for since, only its answer counts."""
    payment = _payment_of(answer.call, load)
    if payment.status is not Status.REQUESTED:
        return Decision()
    if answer.accepted:
        payment.receive(charge_id=answer.charge_id)
    else:
        payment.decline(reason=answer.reason or "declined by the provider")
    return Decision((payment,), _outcome(payment))


def refund_payment(command: payments.RefundPayment, load: Load) -> Decision:
    """Give back what was taken, or may have been; where nothing was, see to it that it stays so.

    A RetrievePayment that still waits is answered now: declined, for its charge becomes void.
    """
    payment = load.one(Payment, Payment.stream(command.caller, command.reference))
    match payment:
        case None:
            payment = Payment.bar(
                caller=command.caller, reference=command.reference, order_id=command.order_id
            )
            return Decision((payment,), (_refunded(payment),))
        case Payment(status=Status.REQUESTED):
            return call_off(payment, REFUNDED_BEFORE)
        case Payment(status=Status.RECEIVED):
            return ask_back(payment, (payment.amount,), f"asked for by {command.caller}")
        case Payment(status=Status.REFUNDING):
            return Decision()
        case _:
            return Decision(sends=(_refunded(payment),))


def refunded(answer: provider.Refunded, load: Load) -> Decision:
    """Note what the provider gave back."""
    payment = _payment_of(answer.call, load)
    if payment.status is not Status.REFUNDING:
        return Decision()
    payment.refund(amount=answer.amount)
    return Decision((payment,), (_refunded(payment),))


def _outcome(payment: Payment) -> tuple[Answer, ...]:
    """Return the answer to RetrievePayment, none while the provider has not decided."""
    match payment.status:
        case Status.REQUESTED:
            return ()
        case Status.RECEIVED:
            return (
                payments.PaymentReceived(
                    **_address(payment), amount=payment.amount, currency=payment.currency
                ),
            )
        case Status.DECLINED:
            return (_declined(payment, payment.reason),)
        case Status.REFUNDING | Status.REFUNDED | Status.BARRED:
            return (_declined(payment, REFUNDED_BEFORE),)


def call_off(payment: Payment, reason: str) -> Decision:
    """Decline what the provider has not decided; its charge becomes void."""
    return ask_back(payment, (0, payment.amount), reason, _declined(payment, reason))


def ask_back(payment: Payment, owed: tuple[int, ...], reason: str, *answers: Answer) -> Decision:
    """Have the provider give back what was taken, or may have been: one of these amounts."""
    payment.request_refund(reason=reason)
    refund = provider.Refund(order_id=payment.order_id, reference=_at_provider(payment), owed=owed)
    return Decision((payment,), (*answers, refund))


def _declined(payment: Payment, reason: str) -> payments.PaymentDeclined:
    return payments.PaymentDeclined(**_address(payment), reason=reason)


def _refunded(payment: Payment) -> payments.PaymentRefunded:
    return payments.PaymentRefunded(**_address(payment), amount=payment.refunded)


def _address(payment: Payment) -> dict[str, str]:
    """Return what every answer carries: whose payment this is, and for which order."""
    return {
        "caller": payment.caller,
        "reference": payment.reference,
        "order_id": payment.order_id,
    }


def _at_provider(payment: Payment) -> str:
    """Return the reference under which the provider knows the charge."""
    return f"{payment.caller}/{payment.reference}"


def _payment_of(call: provider.Charge | provider.Refund, load: Load) -> Payment:
    """Return the payment that a call was made for: the way back from `_at_provider`."""
    caller, _, reference = call.reference.partition("/")
    payment = load.one(Payment, Payment.stream(caller, reference))
    if payment is None:
        raise BadMessage(
            f"{call.TYPE} was answered for {call.reference!r}, which was never requested"
        )
    return payment


HANDLERS: Mapping[type[Message], Handler] = {
    payments.RetrievePayment: retrieve_payment,
    provider.Charged: charged,
    payments.RefundPayment: refund_payment,
    provider.Refunded: refunded,
}
