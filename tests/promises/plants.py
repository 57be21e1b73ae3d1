"""Harm that can be done to the shop that has run, and what the checks say about it."""

from __future__ import annotations

from services.demo.promises import PROMISES

LOST, DELIVERED, ONCE, IN_ORDER, MONEY, STOCK, ALL_OR_NOTHING, ANSWERED, POINTS, MAILS = PROMISES
LATER = 1_000_000
"""A position, number or version behind all others."""


def copied(table: str, where: str, **changes: str) -> str:
    """Plant one more row: a copy of another with these columns changed."""
    new = ", ".join(f"'{column}', {value}" for column, value in changes.items())
    return f"""
        INSERT INTO {table} OVERRIDING SYSTEM VALUE
        SELECT (jsonb_populate_record(old, jsonb_build_object({new}))).*
          FROM {table} AS old WHERE {where} LIMIT 1"""


def sent_again(service: str, message: str, **changes: str) -> str:
    """Plant one more row in an outbox, a copy of what was sent for `good-1`."""
    where = f"type = '{message}' AND key = 'good-1'"
    return copied(f"{service}.outbox", where, position=f"position + {LATER}", **changes)


PLANTS = {
    "an accepted order is nowhere": (
        LOST,
        "DELETE FROM ordering.outbox WHERE type = 'ordering.OrderPlaced' AND key = 'good-1'",
        "order good-1 was accepted, and is not there",
    ),
    "an order hangs where nobody sees it": (
        LOST,
        """DELETE FROM ordering.outbox WHERE type = 'ordering.OrderConfirmed' AND key = 'good-1';
           DELETE FROM fulfillment.processes WHERE order_id = 'good-1'""",
        "order good-1 neither ended nor has a due time",
    ),
    "an order ended both ways": (
        LOST,
        sent_again(
            "ordering",
            "ordering.OrderConfirmed",
            message_id="gen_random_uuid()",
            type="'ordering.OrderRejected'",
        ),
        "order good-1 is confirmed and rejected",
    ),
    "a command never arrived": (
        DELIVERED,
        "DELETE FROM payments.inbox WHERE type = 'payments.RetrievePayment' AND key = 'good-1'",
        "payments.RetrievePayment never reached payments",
    ),
    "a message has been on its way for a minute": (
        DELIVERED,
        sent_again(
            "ordering",
            "ordering.OrderPlaced",
            message_id="gen_random_uuid()",
            recorded_at="now() - interval '1 minute'",
        ),
        "ordering.OrderPlaced never reached fulfillment",
    ),
    "a call was given up": (
        DELIVERED,
        "DELETE FROM payments.inbox WHERE kind = 'answer' AND key = 'good-1'",
        "payments.Charge was neither answered nor waits",
    ),
    "a message was sent twice": (
        ONCE,
        sent_again("payments", "payments.PaymentReceived"),
        "was sent twice",
    ),
    "a message was handled twice under two ids": (
        ONCE,
        copied(
            "payments.inbox",
            "type = 'payments.RetrievePayment' AND key = 'good-1'",
            message_id="gen_random_uuid()",
            position=f"position + {LATER}",
        ),
        "was handled twice by payments",
    ),
    "money was received twice for one payment": (
        ONCE,
        copied(
            "payments.stored_events",
            "topic = 'payments.Payment.Received'",
            originator_version=f"{LATER}",
            notification_id=f"{LATER}",
        ),
        "payments.Payment.Received happened twice to",
    ),
    "goods were reserved twice for one order": (
        ONCE,
        copied(
            "inventory.stored_events",
            "topic = 'inventory.StockItem.Reserved'",
            originator_version=f"{LATER}",
            notification_id=f"{LATER}",
        ),
        "Reserved happened twice to",
    ),
    "a card was charged twice": (
        ONCE,
        copied(
            "outside.charges",
            "order_id = 'good-1'",
            id=f"{LATER}",
            idempotency_key="'another'",
            number=f"{LATER}",
        ),
        "charge of fulfillment/good-1 was made twice",
    ),
    "a parcel left twice": (
        ONCE,
        copied(
            "outside.parcels",
            "order_id = 'good-1'",
            id=f"{LATER}",
            idempotency_key="'another'",
            number=f"{LATER}",
        ),
        "the parcel of fulfillment/good-1 was dispatched twice",
    ),
    "a version is missing from an aggregate": (
        IN_ORDER,
        f"""UPDATE ordering.stored_events SET originator_version = {LATER}
             WHERE topic = 'ordering.Order.Rejected'""",
        f"ordering: version {LATER} of",
    ),
    "an outbox does not speak in the order of the log": (
        IN_ORDER,
        f"""UPDATE ordering.outbox SET position = {LATER}
             WHERE type = 'ordering.OrderPlaced' AND key = 'good-1'""",
        "of key good-1 was sent out of order",
    ),
    "a consumer heard a key out of order": (
        IN_ORDER,
        f"""UPDATE fulfillment.inbox SET source_position = {LATER}
             WHERE type = 'ordering.OrderPlaced' AND key = 'good-1'""",
        "fulfillment heard ordering",
    ),
    "the provider charged a cent too much": (
        MONEY,
        "UPDATE outside.charges SET amount = amount + 1 WHERE order_id = 'good-1'",
        "the provider keeps 3151 of order good-1, it should be 3150",
    ),
    "the money of a rejected order was not given back": (
        MONEY,
        "DELETE FROM outside.charges WHERE kind = 'refund' AND order_id = 'refused'",
        "the provider keeps 2100 of order refused, it should be 0",
    ),
    "somebody was charged who ordered nothing": (
        MONEY,
        """INSERT INTO outside.charges
                   (idempotency_key, reference, number, order_id, kind, amount, answer)
           VALUES ('another', 'fulfillment/ghost', 1, 'ghost', 'charge', 5, '')""",
        "fulfillment/ghost was charged, and there is no such order",
    ),
    "payments knows of another amount than the provider": (
        MONEY,
        "UPDATE payments.payments SET received = received + 1 WHERE order_id = 'good-1'",
        "payments says 3151 and 0",
    ),
    "stock went below zero": (
        STOCK,
        """UPDATE inventory.stored_events SET state = replace(
             convert_from(state, 'UTF8'), '"quantity":10', '"quantity":1')::bytea
            WHERE topic = 'inventory.StockItem.Received'""",
        "on hand",
    ),
    "the shelf's view does not add up": (
        STOCK,
        """ALTER TABLE inventory.stock DROP CONSTRAINT stock_check;
           UPDATE inventory.stock SET gone = gone + 1 WHERE sku = 'chair'""",
        "of chair 10 were received; the view has 10",
    ),
    "the stock view lost a SKU": (
        STOCK,
        "DELETE FROM inventory.stock WHERE sku = 'chair'",
        "of chair 10 were received; the view does not have it",
    ),
    "the parcels' view lost all": (
        STOCK,
        "DELETE FROM shipping.parcels",
        "is with the carrier, and shipping does not have it",
    ),
    "the carrier took what nobody fetched": (
        STOCK,
        """UPDATE outside.parcels SET lines = '[{"sku": "chair", "quantity": 3}]'
            WHERE order_id = 'good-2'""",
        "fulfillment/good-2 holds 0 chair, 1 are gone and 3 shipped",
    ),
    "goods of a rejected order did not come back": (
        STOCK,
        """DELETE FROM inventory.stored_events
            WHERE topic = 'inventory.StockItem.Returned' AND state LIKE '%"refused"%'""",
        "fulfillment/refused holds 0",
    ),
    "shipping believes that a parcel never left": (
        STOCK,
        """UPDATE shipping.parcels SET status = 'refused', reason = 'no', tracking = NULL
            WHERE order_id = 'good-1'""",
        "fulfillment/good-1 is refused for shipping, and the carrier took 3 units",
    ),
    "goods were refused that were there": (
        ALL_OR_NOTHING,
        """UPDATE inventory.stored_events SET state = replace(
             convert_from(state, 'UTF8'), '"quantity":1,', '"quantity":5,')::bytea
            WHERE topic = 'inventory.StockItem.Received'""",
        "order too-many was refused goods that were there",
    ),
    "a command was never answered": (
        ANSWERED,
        "DELETE FROM payments.outbox WHERE type = 'payments.PaymentReceived' AND key = 'good-1'",
        "payments.RetrievePayment for good-1 was never answered by payments",
    ),
    "a message names no cause": (
        ANSWERED,
        """UPDATE ordering.outbox SET causation_id = gen_random_uuid()
            WHERE type = 'ordering.OrderPlaced' AND key = 'good-1'""",
        "ordering.OrderPlaced has no cause",
    ),
    "an event names no cause": (
        ANSWERED,
        """UPDATE ordering.stored_events SET causation_id = NULL
            WHERE topic = 'ordering.Order.Rejected'""",
        "ordering.Order.Rejected has no cause",
    ),
    "a message came from nowhere": (
        ANSWERED,
        """UPDATE payments.inbox SET message_id = gen_random_uuid()
            WHERE type = 'payments.RetrievePayment' AND key = 'good-1'""",
        "payments heard payments.RetrievePayment for good-1, and nobody sent it",
    ),
    "a letter was sent twice": (
        ONCE,
        copied(
            "notifications.stored_events",
            "topic = 'notifications.Notification.Sent'",
            originator_version=f"{LATER}",
            notification_id=f"{LATER}",
        ),
        "notifications.Notification.Sent happened twice to",
    ),
    "a purchase was forgotten": (
        POINTS,
        """DELETE FROM loyalty.stored_events
            WHERE topic = 'loyalty.Purchase.Counted' AND state LIKE '%good-1%'""",
        "order good-1 is worth 31 points to c1, loyalty counts 0 for nobody",
    ),
    "points for another amount": (
        POINTS,
        """UPDATE loyalty.stored_events SET state = replace(
             convert_from(state, 'UTF8'), '"points":31', '"points":32')::bytea
            WHERE topic = 'loyalty.Purchase.Counted'""",
        "order good-1 is worth 31 points to c1, loyalty counts 32 for c1",
    ),
    "points were counted for an order that nobody confirmed": (
        POINTS,
        "DELETE FROM ordering.outbox WHERE type = 'ordering.OrderConfirmed' AND key = 'good-2'",
        "order good-2 is worth 0 points to nobody, loyalty counts 10 for c1",
    ),
    "points were counted and not awarded": (
        POINTS,
        """DELETE FROM loyalty.stored_events
            WHERE topic = 'loyalty.Account.Awarded' AND state LIKE '%:31%'""",
        "c1 has 10 points of 41, and was told of 41",
    ),
    "points were awarded and not told": (
        POINTS,
        "DELETE FROM loyalty.outbox WHERE key = 'c1'",
        "c1 has 41 points of 41, and was told of 0",
    ),
    "what was put aside is lost": (
        POINTS,
        "DELETE FROM loyalty.stored_events WHERE topic = 'loyalty.Account.PutAside'",
        "c2 has 0 points of 21, and was told of 0",
    ),
    "nobody was told how an order ended": (
        MAILS,
        "DELETE FROM notifications.notifications WHERE id = 'order/good-1'",
        "order/good-1 was never mailed",
    ),
    "a customer was told of an order that has no end": (
        MAILS,
        "DELETE FROM ordering.outbox WHERE type = 'ordering.OrderRejected' AND key = 'declined'",
        "order/declined was mailed, and nobody wanted it",
    ),
    "a mail is without proof": (
        MAILS,
        """DELETE FROM notifications.stored_events WHERE originator_id =
             (SELECT stream FROM notifications.notifications WHERE id = 'order/good-1')""",
        "order/good-1 is sent, and was taken 0 times",
    ),
    "a mail failed and was sent": (
        MAILS,
        """UPDATE notifications.notifications SET status = 'failed', reason = 'no', said = NULL
            WHERE id = 'order/good-1'""",
        "order/good-1 is failed, and was taken 1 times",
    ),
    "nobody asked for a customer's letter": (
        MAILS,
        """DELETE FROM customers.outbox
            WHERE type = 'notifications.SendWelcomeLetter' AND key = 'c1'""",
        "c1 is registered, and no letter was asked for",
    ),
}
