-- The promises of DESIGN.md. Each statement goes on from `logs` (logs.sql) and returns one row: how
-- many violations, some of them in words, and figures. Senders from outside (EXTERNAL.<name>) have no outbox:
-- what they sent is known once it is heard.

-- name: 1 no order is lost
-- Accepted orders must be in ordering, and end one way, once, or wait where a person sees until when.
, fates AS (
  SELECT coalesce(a.order_id, p.order_id) AS order_id, p.order_id IS NULL AS unknown,
         count(e.order_id) AS ends, bool_or(e.confirmed) AS confirmed,
         coalesce(max(w.due_at), max(u.due_at)) AS due_at
    FROM accepted a FULL JOIN placed p USING (order_id)
    LEFT JOIN ended e ON e.order_id = p.order_id
    LEFT JOIN fulfillment.processes w ON w.order_id = p.order_id
    LEFT JOIN unowned u ON u.order_id = p.order_id
   GROUP BY a.order_id, p.order_id),
wrong AS (
  SELECT 'order ' || order_id || CASE WHEN unknown THEN ' was accepted, and is not there'
                                      WHEN ends > 1 THEN ' is confirmed and rejected'
                                      ELSE ' neither ended nor has a due time' END AS fault
    FROM fates WHERE unknown OR ends > 1 OR (ends = 0 AND due_at IS NULL))
SELECT (SELECT count(*) FROM wrong) AS violations,
       (SELECT string_agg(fault, '; ') FROM (SELECT fault FROM wrong ORDER BY fault LIMIT 3) AS w) AS examples,
       count(*) AS orders,
       count(*) FILTER (WHERE ends = 1 AND confirmed) AS confirmed,
       count(*) FILTER (WHERE ends = 1 AND NOT confirmed) AS rejected,
       count(*) FILTER (WHERE ends = 0) AS waiting
  FROM fates

-- name: 2 no message is lost
-- What a reader has passed, what was brought, or what nobody has taken for ten seconds, must be in its
-- inbox (dead letters stand there too, as parked); a call must be answered, waiting or void.
, addressed AS (
  SELECT s.service, s.type, s.position, s.message_id, l.reader, h.outcome,
         coalesce(s.position <= r.position AND NOT l.fetched, false)
           OR s.channel <> 'broker' AND c.position IS NULL
           OR s.recorded_at < now() - interval '10 s' AS is_due
    FROM sent s JOIN links l ON l.source = s.service AND l.type = s.type
    LEFT JOIN calls c ON c.service = s.service AND c.position = s.position
    LEFT JOIN heard h ON h.service = l.reader AND h.message_id = s.message_id
    LEFT JOIN read_to r ON r.reader = l.reader AND r.source = s.service),
lanes AS (
  SELECT 'payments' AS service, position, convert_from(body, 'UTF8')::jsonb ->> 'reference' AS lane
    FROM payments.outbox WHERE kind = 'call'),
called AS (
  SELECT s.service, s.type, s.position, s.message_id, h.message_id IS NOT NULL AS is_answered,
         c.position IS NOT NULL AS waits,
         coalesce(s.position < max(s.position) FILTER (WHERE s.type = 'payments.Refund')
                                 OVER (PARTITION BY s.service, l.lane), false) AS is_void
    FROM sent s
    LEFT JOIN lanes l ON l.service = s.service AND l.position = s.position
    LEFT JOIN heard h ON h.service = s.service AND h.kind = 'answer' AND h.causation_id = s.message_id
    LEFT JOIN calls c ON c.service = s.service AND c.position = s.position
   WHERE s.kind = 'call'),
wrong AS (
  SELECT service || ' ' || position || ' ' || type || ' never reached ' || reader AS fault
    FROM addressed WHERE outcome IS NULL AND is_due
  UNION ALL
  SELECT service || ' ' || position || ' ' || type || ' was neither answered nor waits'
    FROM called WHERE NOT is_answered AND NOT waits AND NOT is_void)
SELECT (SELECT count(*) FROM wrong) AS violations,
       (SELECT string_agg(fault, '; ') FROM (SELECT fault FROM wrong ORDER BY fault LIMIT 3) AS w) AS examples,
       (SELECT count(*) FROM sent WHERE kind <> 'call') AS messages_sent,
       (SELECT count(outcome) FROM addressed) AS received,
       (SELECT count(*) FROM addressed WHERE outcome = 'parked') AS dead_letters,
       (SELECT count(*) FROM addressed WHERE outcome IS NULL) AS on_the_way,
       (SELECT count(*) FROM called) AS calls,
       (SELECT count(*) FROM called WHERE is_answered) AS answered,
       (SELECT count(*) FROM called WHERE waits) AS calls_waiting

-- name: 3 nothing is done twice
-- No message is sent twice or handled twice from one place, nothing happens twice to an aggregate
-- that can happen only once, and the world outside was asked once for each thing it did.
, holders AS (
  SELECT originator_id::text || ' of ' || holder AS thing, what FROM shelf WHERE holder IS NOT NULL),
wrong AS (
  SELECT 'message ' || message_id || ' was sent twice' AS fault FROM sent GROUP BY message_id HAVING count(*) > 1
  UNION ALL
  SELECT source || ' ' || source_position || ' was handled twice by ' || service
    FROM heard WHERE kind IN ('command', 'event')
   GROUP BY service, source, incarnation, source_position HAVING count(*) > 1
  UNION ALL
  SELECT topic || ' happened twice to ' || originator_id
    FROM events WHERE topic !~ '^(inventory.StockItem|loyalty.Account|stagepost.Instance)'
     AND topic !~ '^(customers.Claim|customers.Customer.Changed|notifications.Notification.(Failed|RequestedAgain))'
   GROUP BY service, originator_id, topic HAVING count(*) > 1
  UNION ALL
  SELECT what || ' happened twice to ' || thing FROM holders GROUP BY thing, what HAVING count(*) > 1
  UNION ALL
  SELECT kind || ' of ' || reference || ' was made twice'
    FROM outside.charges WHERE amount <> 0 GROUP BY reference, kind HAVING count(*) > 1
  UNION ALL
  SELECT 'the parcel of ' || reference || ' was dispatched twice'
    FROM outside.parcels WHERE units > 0 GROUP BY reference HAVING count(*) > 1)
SELECT (SELECT count(*) FROM wrong) AS violations,
       (SELECT string_agg(fault, '; ') FROM (SELECT fault FROM wrong ORDER BY fault LIMIT 3) AS w) AS examples,
       (SELECT count(*) FROM heard) AS messages_handled,
       (SELECT count(*) FROM sent) AS messages_sent,
       (SELECT count(*) FROM events) AS events

-- name: 4 order holds per key
-- Versions follow each other in the log; the outbox speaks in the order of the log; an inbox hears
-- each key in the order of its source's outbox. (Answers that are fetched over HTTP come with their
-- questions, in no order among each other.)
, logged AS (
  SELECT service, originator_id, originator_version,
         row_number() OVER (PARTITION BY service, originator_id ORDER BY notification_id) AS nth
    FROM events),
spoken AS (
  SELECT s.service, s.key, s.position, e.notification_id,
         max(e.notification_id) OVER (PARTITION BY s.service, s.key ORDER BY s.position
           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM sent s JOIN (
      SELECT service, causation_id, min(notification_id) AS notification_id
        FROM events GROUP BY service, causation_id) AS e USING (service, causation_id)),
listened AS (
  SELECT service, source, key, position, source_position,
         lag(source_position) OVER (PARTITION BY service, source, incarnation, key ORDER BY position) AS before
    FROM heard h WHERE kind IN ('command', 'event') AND NOT EXISTS (
      SELECT FROM links l WHERE l.source = h.source AND l.type = h.type AND l.reader = h.service AND l.fetched)),
wrong AS (
  SELECT service || ': version ' || originator_version || ' of ' || originator_id || ' is number ' || nth AS fault
    FROM logged WHERE originator_version <> nth
  UNION ALL
  SELECT service || ' ' || position || ' of key ' || key || ' was sent out of order'
    FROM spoken WHERE notification_id < before
  UNION ALL
  SELECT service || ' heard ' || source || ' ' || source_position || ' of key ' || key || ' after ' || before
    FROM listened WHERE source_position < before)
SELECT (SELECT count(*) FROM wrong) AS violations,
       (SELECT string_agg(fault, '; ') FROM (SELECT fault FROM wrong ORDER BY fault LIMIT 3) AS w) AS examples,
       (SELECT count(*) FROM logged) AS events,
       (SELECT count(*) FROM spoken) AS messages_sent,
       (SELECT count(*) FROM listened) AS messages_heard,
       (SELECT count(DISTINCT key) FROM listened) AS keys

-- name: 5 money agrees to the cent
-- For every order that ended, the provider's ledger keeps its amount where it is confirmed and
-- nothing where it is not; payments says the same; nothing was charged for anything else.
, ledger AS (
  SELECT reference, coalesce(sum(amount) FILTER (WHERE kind = 'charge'), 0) AS charged,
         coalesce(-sum(amount) FILTER (WHERE kind = 'refund'), 0) AS refunded
    FROM outside.charges GROUP BY reference),
due AS (
  SELECT p.order_id, $1::jsonb ->> 'asks' || '/' || p.order_id AS reference, e.confirmed,
         CASE WHEN e.confirmed THEN CAST(p.body ->> 'amount' AS bigint) ELSE 0 END AS amount
    FROM placed p LEFT JOIN ended e USING (order_id)),
accounts AS (
  SELECT d.order_id, d.confirmed, d.amount, coalesce(l.reference, b.id, d.reference) AS reference,
         coalesce(l.charged, 0) AS charged, coalesce(l.refunded, 0) AS refunded,
         coalesce(b.received, 0) AS received, coalesce(b.refunded, 0) AS given_back
    FROM due d FULL JOIN ledger l ON l.reference = d.reference
    FULL JOIN payments.payments b ON b.id = coalesce(l.reference, d.reference)),
outsiders AS (  -- what was asked for from outside is no order's, and the ledger and payments must agree
  SELECT b.id AS reference, b.status NOT IN ('requested', 'refunding') AS is_settled
    FROM payments.payments b
    JOIN events e ON e.service = 'payments' AND e.originator_id = b.stream AND e.originator_version = 1
    JOIN heard h ON h.service = 'payments' AND h.message_id = e.causation_id AND h.source LIKE 'EXTERNAL.%'),
wrong AS (
  SELECT reference || ' was charged, and there is no such order' AS fault
    FROM accounts WHERE order_id IS NULL AND charged <> refunded
     AND reference NOT IN (SELECT reference FROM outsiders)
  UNION ALL
  SELECT 'the provider keeps ' || charged - refunded || ' of order ' || order_id || ', it should be ' || amount
    FROM accounts WHERE confirmed IS NOT NULL AND charged - refunded <> amount
  UNION ALL
  SELECT 'the provider has charged ' || charged || ' and given back ' || refunded || ' for ' || reference
         || ', payments says ' || received || ' and ' || given_back
    FROM accounts WHERE (confirmed IS NOT NULL OR reference IN (SELECT reference FROM outsiders WHERE is_settled))
     AND (charged, refunded) <> (received, given_back))
SELECT (SELECT count(*) FROM wrong) AS violations,
       (SELECT string_agg(fault, '; ') FROM (SELECT fault FROM wrong ORDER BY fault LIMIT 3) AS w) AS examples,
       sum(charged)::bigint AS minor_units_charged,
       sum(refunded)::bigint AS given_back,
       sum(charged - refunded)::bigint AS kept_by_the_provider,
       sum(received - given_back)::bigint AS kept_by_payments,
       coalesce(sum(amount) FILTER (WHERE confirmed), 0)::bigint AS due_for_confirmed_orders
  FROM accounts

-- name: 6 stock adds up
-- Per SKU nothing ever went below zero and the view adds up; per order that ended, what is gone is
-- what the carrier took, and nothing is reserved.
, running AS (
  SELECT sku, notification_id,
         sum(on_hand) OVER so_far AS on_hand, sum(reserved) OVER so_far AS reserved, sum(gone) OVER so_far AS gone
    FROM moves WINDOW so_far AS (PARTITION BY sku ORDER BY notification_id)),
totals AS (
  SELECT sku, sum(received) AS received, sum(on_hand) AS on_hand, sum(reserved) AS reserved, sum(gone) AS gone
    FROM moves GROUP BY sku),
held AS (
  SELECT holder, sku, sum(gone) AS gone, sum(reserved) AS reserved FROM moves WHERE holder IS NOT NULL GROUP BY holder, sku),
shipped AS (
  SELECT reference AS holder, l ->> 'sku' AS sku, sum(CAST(l ->> 'quantity' AS bigint)) AS units
    FROM outside.parcels, jsonb_array_elements(lines) AS l WHERE kind = 'dispatched' GROUP BY 1, 2),
left_over AS (
  SELECT coalesce(h.holder, s.holder) AS holder, coalesce(h.sku, s.sku) AS sku,
         coalesce(h.gone, 0) AS gone, coalesce(h.reserved, 0) AS reserved, coalesce(s.units, 0) AS shipped
    FROM held h FULL JOIN shipped s ON s.holder = h.holder AND s.sku = h.sku),
wrong AS (
  SELECT 'after event ' || notification_id || ' there are ' || on_hand || ' ' || sku || ' on hand, '
         || reserved || ' reserved, ' || gone || ' gone' AS fault
    FROM running WHERE least(on_hand, reserved, gone) < 0
  UNION ALL
  SELECT 'of ' || t.sku || ' ' || t.received || ' were received; the view has ' || v.received || ', ' || v.on_hand
         || ' on hand, ' || v.reserved || ' reserved, ' || v.gone || ' gone'
    FROM totals t JOIN inventory.stock v USING (sku)
   WHERE (t.received, t.on_hand, t.reserved, t.gone) <> (v.received, v.on_hand, v.reserved, v.gone)
      OR v.received <> v.on_hand + v.reserved + v.gone
  UNION ALL
  SELECT 'of ' || sku || ' ' || received || ' were received; the view does not have it'
    FROM totals WHERE sku NOT IN (SELECT sku FROM inventory.stock)
  UNION ALL
  SELECT p.id || ' is ' || p.status || ' for shipping, and the carrier took ' || coalesce(c.units, 0) || ' units'
    FROM shipping.parcels p
    LEFT JOIN (SELECT holder, sum(units) AS units FROM shipped GROUP BY holder) AS c ON c.holder = p.id
   WHERE p.status <> 'requested'
     AND coalesce(c.units, 0) <> CASE WHEN p.status = 'shipped' THEN p.units ELSE 0 END
  UNION ALL
  SELECT holder || ' is with the carrier, and shipping does not have it'
    FROM shipped WHERE holder NOT IN (SELECT id FROM shipping.parcels)
  UNION ALL
  SELECT holder || ' holds ' || reserved || ' ' || sku || ', ' || gone || ' are gone and ' || shipped || ' shipped'
    FROM left_over LEFT JOIN ended e ON holder = $1::jsonb ->> 'asks' || '/' || e.order_id
   WHERE shipped > gone OR (e.order_id IS NOT NULL AND (reserved <> 0 OR gone <> shipped)))
SELECT (SELECT count(*) FROM wrong) AS violations,
       (SELECT string_agg(fault, '; ') FROM (SELECT fault FROM wrong ORDER BY fault LIMIT 3) AS w) AS examples,
       count(*) AS skus,
       coalesce(sum(received), 0)::bigint AS received,
       coalesce(sum(on_hand), 0)::bigint AS on_hand,
       coalesce(sum(reserved), 0)::bigint AS reserved,
       coalesce(sum(gone), 0)::bigint AS gone,
       (SELECT coalesce(sum(units), 0)::bigint FROM shipped) AS shipped
  FROM totals

-- name: 6 stock is all or nothing
-- No order was refused its goods that would have fitted then; so where nothing came back since,
-- none fits what is left.
, refused AS (
  SELECT notification_id, convert_from(state, 'UTF8')::jsonb AS state
    FROM inventory.stored_events WHERE topic = 'inventory.Reservation.Rejected'),
wanted AS (
  SELECT r.notification_id, r.state ->> 'order_id' AS order_id, l ->> 'sku' AS sku,
         sum(CAST(l ->> 'quantity' AS bigint)) AS units
    FROM refused r, jsonb_array_elements(r.state -> 'lines') AS l GROUP BY 1, 2, 3),
fits AS (
  SELECT w.notification_id, w.order_id,
         bool_and(units <= coalesce((SELECT sum(on_hand) FROM moves m
                                      WHERE m.sku = w.sku AND m.notification_id < w.notification_id), 0)) AS did,
         bool_and(units <= coalesce((SELECT sum(on_hand) FROM moves m WHERE m.sku = w.sku), 0)) AS does
    FROM wanted w GROUP BY w.notification_id, w.order_id),
wrong AS (
  SELECT 'order ' || order_id || ' was refused goods that were there' AS fault FROM fits WHERE did)
SELECT (SELECT count(*) FROM wrong) AS violations,
       (SELECT string_agg(fault, '; ') FROM (SELECT fault FROM wrong ORDER BY fault LIMIT 3) AS w) AS examples,
       count(*) AS refused_for_want_of_stock,
       count(*) FILTER (WHERE does) AS of_them_fit_what_is_left_now
  FROM fits

-- name: 7 every command is answered
-- An answer is sent after the command was heard, for the same key; every message has its cause in
-- the sender's inbox, earlier; what was heard stands in its sender's outbox, or came from outside. So
-- each chain of causes goes back, step by step, to a request, a timer or a sender from outside. (What
-- a person let in that should not have come from there stands under its own id.)
, replies AS (
  SELECT r.service, r.key, a.command, max(r.position) AS position
    FROM sent r JOIN answers a ON a.answer = r.type GROUP BY r.service, r.key, a.command),
asked AS (
  SELECT h.type, h.key, h.service AS reader, coalesce(r.position > h.position, false) AS is_answered
    FROM heard h LEFT JOIN sent s ON s.message_id = h.message_id AND s.recipient = h.service
    LEFT JOIN replies r ON r.service = h.service AND r.key = h.key AND r.command = h.type
   WHERE h.kind = 'command' AND h.outcome <> 'parked'
     AND (s.message_id IS NOT NULL OR h.source LIKE 'EXTERNAL.%' AND h.key <> h.message_id::text)),
wrong AS (
  SELECT type || ' for ' || key || ' was never answered by ' || reader AS fault FROM asked WHERE NOT is_answered
  UNION ALL
  SELECT s.service || ' ' || s.position || ' ' || s.type || ' has no cause'
    FROM sent s LEFT JOIN heard h ON h.service = s.service AND h.message_id = s.causation_id
   WHERE h.position IS NULL OR h.position > s.position
  UNION ALL
  SELECT e.service || ': event ' || e.notification_id || ' ' || e.topic || ' has no cause'
    FROM events e LEFT JOIN heard h ON h.service = e.service AND h.message_id = e.causation_id
   WHERE h.position IS NULL
  UNION ALL
  SELECT h.service || ' heard ' || h.type || ' for ' || h.key || ', and nobody sent it'
    FROM heard h LEFT JOIN sent s ON s.message_id = CASE h.kind WHEN 'answer' THEN h.causation_id ELSE h.message_id END
   WHERE h.kind IN ('command', 'event', 'answer') AND s.message_id IS NULL AND h.source NOT LIKE 'EXTERNAL.%')
SELECT (SELECT count(*) FROM wrong) AS violations,
       (SELECT string_agg(fault, '; ') FROM (SELECT fault FROM wrong ORDER BY fault LIMIT 3) AS w) AS examples,
       (SELECT count(*) FROM asked) AS commands,
       (SELECT count(*) FROM asked WHERE is_answered) AS answered,
       (SELECT count(*) FROM sent) AS messages_with_a_cause,
       (SELECT count(*) FROM heard WHERE kind IN ('request', 'timer')) AS requests_and_timers
