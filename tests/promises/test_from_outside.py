"""What came from outside stands in no outbox: the checks know it, and believe no more than that."""

from __future__ import annotations

import pytest

from services.demo.promises import PROMISES, Audit
from tests.promises.plants import ANSWERED, LATER, MAILS, MONEY, copied

WEBSHOP = "'EXTERNAL.webshop'"

HEARD = copied(
    "payments.inbox",
    "type = 'payments.RetrievePayment' AND key = 'good-1'",
    message_id="'0192d3a0-0000-7000-8000-00000000d411'",
    position=f"position + {LATER}",
    source=WEBSHOP,
    source_position="1",
    key="'w-1'",
)
ANSWERED_TOO = copied(
    "payments.outbox",
    "type = 'payments.PaymentReceived' AND key = 'good-1'",
    message_id="gen_random_uuid()",
    position=f"position + {LATER}",
    causation_id="'0192d3a0-0000-7000-8000-00000000d411'",
    key="'w-1'",
)
CHARGED = """
    INSERT INTO outside.charges (idempotency_key, reference, number, order_id, kind, amount, answer)
    VALUES ('another', 'webshop/w-1', 1, 'w-1', 'charge', 3150, '')"""
PAID = (
    copied(
        "payments.stored_events",
        "topic = 'payments.Payment.Requested'",
        originator_id="'0192d3a0-0000-7000-8000-00000000d412'",
        notification_id=f"{LATER}",
        causation_id="'0192d3a0-0000-7000-8000-00000000d411'",
    ),
    copied(
        "payments.payments",
        "order_id = 'good-1'",
        stream="'0192d3a0-0000-7000-8000-00000000d412'",
        id="'webshop/w-1'",
        order_id="'w-1'",
        caller="'webshop'",
        reference="'w-1'",
    ),
    CHARGED,
)


async def plant(audit: Audit, *statements: str) -> None:
    for statement in statements:
        await audit.connection.execute(statement)


async def test_what_was_asked_for_from_outside_breaks_no_promise(audit: Audit) -> None:
    await plant(audit, HEARD, ANSWERED_TOO, *PAID)
    for promise in PROMISES:
        finding = await audit.check(promise)
        assert finding.holds, f"{promise}: {finding.detail}"


@pytest.mark.parametrize(
    ("harm", "promise", "fault"),
    [
        ([HEARD], ANSWERED, "payments.RetrievePayment for w-1 was never answered by payments"),
        ([CHARGED], MONEY, "webshop/w-1 was charged, and there is no such order"),
        ([*PAID], MONEY, "webshop/w-1 was charged, and there is no such order"),
        (
            [HEARD, *PAID, "UPDATE outside.charges SET amount = 9 WHERE order_id = 'w-1'"],
            MONEY,
            "charged 9 and given back 0 for webshop/w-1, payments says 3150 and 0",
        ),
        (
            [HEARD.replace("'EXTERNAL.webshop'", "'webshop'")],
            ANSWERED,
            "payments heard payments.RetrievePayment for w-1, and nobody sent it",
        ),
        (
            [
                """UPDATE notifications.inbox SET source = 'EXTERNAL.webshop'
                    WHERE type = 'notifications.SendWelcomeLetter'""",
                "DELETE FROM notifications.outbox WHERE type = 'notifications.WelcomeLetterSent'",
            ],
            ANSWERED,
            "notifications.SendWelcomeLetter for c1 was never answered by notifications",
        ),
    ],
)
async def test_what_is_wrong_with_it_is_found(
    audit: Audit, harm: list[str], promise: str, fault: str
) -> None:
    await plant(audit, *harm)
    finding = await audit.check(promise)
    assert not finding.holds
    assert fault in finding.detail


async def test_a_letter_that_was_asked_for_from_outside_was_wanted(audit: Audit) -> None:
    asked = "type = 'notifications.SendWelcomeLetter' AND key = 'c1'"
    await plant(audit, f"DELETE FROM customers.outbox WHERE {asked}")
    assert "welcome/customers/c1 was mailed, and nobody" in (await audit.check(MAILS)).detail
    await plant(audit, f"UPDATE notifications.inbox SET source = {WEBSHOP} WHERE {asked}")
    assert "nobody wanted" not in (await audit.check(MAILS)).detail
