-- What everything else is made of, and what the demonstration asks while it runs: SQL over the
-- database `audit`, where each service's tables stand in a schema of its name. `logs` is put before
-- each statement, here, in promises.sql and in around.sql, which go on from there. $1 holds what only the code
-- knows: who reads which messages and fetches which answers, which answers settle a command, in whose
-- name payment and stock are asked for, which orders were accepted.

-- name: logs
-- Everything that was sent and heard, of all services; the rest is folded from it.
WITH links AS (
  SELECT * FROM jsonb_to_recordset($1::jsonb -> 'links') AS l (source text, type text, reader text, fetched boolean)),
answers AS (
  SELECT * FROM jsonb_to_recordset($1::jsonb -> 'answers') AS a (command text, answer text)),
accepted AS (
  SELECT jsonb_array_elements_text($1::jsonb -> 'accepted') AS order_id),
sent AS MATERIALIZED (
  SELECT 'ordering' AS service, position, message_id, channel, kind, type, key, recipient, causation_id, recorded_at
    FROM ordering.outbox
  UNION ALL
  SELECT 'payments', position, message_id, channel, kind, type, key, recipient, causation_id, recorded_at
    FROM payments.outbox
  UNION ALL
  SELECT 'inventory', position, message_id, channel, kind, type, key, recipient, causation_id, recorded_at
    FROM inventory.outbox
  UNION ALL
  SELECT 'shipping', position, message_id, channel, kind, type, key, recipient, causation_id, recorded_at
    FROM shipping.outbox
  UNION ALL
  SELECT 'fulfillment', position, message_id, channel, kind, type, key, recipient, causation_id, recorded_at
    FROM fulfillment.outbox
  UNION ALL
  SELECT 'customers', position, message_id, channel, kind, type, key, recipient, causation_id, recorded_at
    FROM customers.outbox
  UNION ALL
  SELECT 'loyalty', position, message_id, channel, kind, type, key, recipient, causation_id, recorded_at
    FROM loyalty.outbox
  UNION ALL
  SELECT 'notifications', position, message_id, channel, kind, type, key, recipient, causation_id, recorded_at
    FROM notifications.outbox),
heard AS MATERIALIZED (
  SELECT 'ordering' AS service, position, message_id, source, incarnation, source_position, kind, type, key,
         outcome, causation_id
    FROM ordering.inbox
  UNION ALL
  SELECT 'payments', position, message_id, source, incarnation, source_position, kind, type, key,
         outcome, causation_id
    FROM payments.inbox
  UNION ALL
  SELECT 'inventory', position, message_id, source, incarnation, source_position, kind, type, key,
         outcome, causation_id
    FROM inventory.inbox
  UNION ALL
  SELECT 'shipping', position, message_id, source, incarnation, source_position, kind, type, key,
         outcome, causation_id
    FROM shipping.inbox
  UNION ALL
  SELECT 'fulfillment', position, message_id, source, incarnation, source_position, kind, type, key,
         outcome, causation_id
    FROM fulfillment.inbox
  UNION ALL
  SELECT 'customers', position, message_id, source, incarnation, source_position, kind, type, key,
         outcome, causation_id
    FROM customers.inbox
  UNION ALL
  SELECT 'loyalty', position, message_id, source, incarnation, source_position, kind, type, key,
         outcome, causation_id
    FROM loyalty.inbox
  UNION ALL
  SELECT 'notifications', position, message_id, source, incarnation, source_position, kind, type, key,
         outcome, causation_id
    FROM notifications.inbox),
events AS MATERIALIZED (
  SELECT 'ordering' AS service, notification_id, originator_id, originator_version, topic, causation_id
    FROM ordering.stored_events
  UNION ALL
  SELECT 'payments', notification_id, originator_id, originator_version, topic, causation_id
    FROM payments.stored_events
  UNION ALL
  SELECT 'inventory', notification_id, originator_id, originator_version, topic, causation_id
    FROM inventory.stored_events
  UNION ALL
  SELECT 'shipping', notification_id, originator_id, originator_version, topic, causation_id
    FROM shipping.stored_events
  UNION ALL
  SELECT 'fulfillment', notification_id, originator_id, originator_version, topic, causation_id
    FROM fulfillment.stored_events
  UNION ALL
  SELECT 'customers', notification_id, originator_id, originator_version, topic, causation_id
    FROM customers.stored_events
  UNION ALL
  SELECT 'loyalty', notification_id, originator_id, originator_version, topic, causation_id
    FROM loyalty.stored_events
  UNION ALL
  SELECT 'notifications', notification_id, originator_id, originator_version, topic, causation_id
    FROM notifications.stored_events),
calls AS (
  SELECT 'payments' AS service, position FROM payments.calls
  UNION ALL
  SELECT 'shipping', position FROM shipping.calls
  UNION ALL
  SELECT 'fulfillment', position FROM fulfillment.calls
  UNION ALL
  SELECT 'customers', position FROM customers.calls
  UNION ALL
  SELECT 'notifications', position FROM notifications.calls),
unowned AS (  -- nobody gives these orders up: where nobody orchestrates, nobody owns their deadline
  SELECT s.key AS order_id, c.due_at FROM payments.calls c JOIN payments.outbox s USING (position)
   WHERE $1::jsonb ->> 'asks' = 'ordering' AND c.attempt >= 4),
read_to AS (
  SELECT reader, source, max(position) AS position FROM (
    SELECT 'ordering' AS reader, source, position FROM ordering.cursors WHERE reader = 'consumer'
    UNION ALL
    SELECT 'payments', source, position FROM payments.cursors WHERE reader = 'consumer'
    UNION ALL
    SELECT 'inventory', source, position FROM inventory.cursors WHERE reader = 'consumer'
    UNION ALL
    SELECT 'shipping', source, position FROM shipping.cursors WHERE reader = 'consumer'
    UNION ALL
    SELECT 'fulfillment', source, position FROM fulfillment.cursors WHERE reader = 'consumer'
    UNION ALL
    SELECT 'customers', source, position FROM customers.cursors WHERE reader = 'consumer'
    UNION ALL
    SELECT 'loyalty', source, position FROM loyalty.cursors WHERE reader = 'consumer'
    UNION ALL
    SELECT 'notifications', source, position FROM notifications.cursors WHERE reader = 'consumer') AS c
  GROUP BY reader, source),
placed AS MATERIALIZED (
  SELECT key AS order_id, convert_from(body, 'UTF8')::jsonb AS body, recorded_at
    FROM ordering.outbox WHERE type = 'ordering.OrderPlaced'),
ended AS MATERIALIZED (
  SELECT DISTINCT ON (key, type) key AS order_id, type = 'ordering.OrderConfirmed' AS confirmed,
         convert_from(body, 'UTF8')::jsonb ->> 'reason' AS reason, recorded_at
    FROM ordering.outbox WHERE type IN ('ordering.OrderConfirmed', 'ordering.OrderRejected')
   ORDER BY key, type, position),
shelf AS MATERIALIZED (  -- who holds what was one text in the first version of these events
  SELECT notification_id, originator_id, what, state,
         coalesce(state ->> 'holder', (state ->> 'caller') || '/' || (state ->> 'reference')) AS holder
    FROM (SELECT notification_id, originator_id, split_part(topic, '.', 3) AS what,
                 convert_from(state, 'UTF8')::jsonb AS state
            FROM inventory.stored_events WHERE topic LIKE 'inventory.StockItem.%') AS s),
moves AS MATERIALIZED (
  SELECT m.notification_id, i.state ->> 'sku' AS sku, m.holder,
         q * (m.what = 'Received')::int AS received,
         q * CASE WHEN m.what = 'Reserved' THEN -1 WHEN m.what = 'Fetched' THEN 0 ELSE 1 END AS on_hand,
         q * CASE m.what WHEN 'Reserved' THEN 1 WHEN 'Fetched' THEN -1 WHEN 'Released' THEN -1 ELSE 0 END AS reserved,
         q * CASE m.what WHEN 'Fetched' THEN 1 WHEN 'Returned' THEN -1 ELSE 0 END AS gone
    FROM shelf AS m
    JOIN shelf AS i ON i.originator_id = m.originator_id AND i.what = 'Declared',
         CAST(m.state ->> 'quantity' AS bigint) AS q
   WHERE m.what <> 'Declared')

-- name: window
-- What the checks above have seen: everything that is stored, from the first message to the last.
SELECT min(recorded_at) AS since, max(recorded_at) AS until, count(*) AS messages FROM sent

-- name: written
-- How much stands in the logs: bad input must leave it as it is.
SELECT (SELECT count(*) FROM events) AS events_before_and_after,
       (SELECT count(*) FROM sent) AS messages_before_and_after,
       (SELECT count(*) FROM heard) AS inbox_rows_before_and_after

-- name: endings
-- How each order ended, and when, for the summary.
SELECT p.order_id, e.confirmed, e.reason, CAST(p.body ->> 'amount' AS bigint) AS amount,
       extract(epoch FROM e.recorded_at)::float8 AS ended_at
  FROM placed p LEFT JOIN ended e USING (order_id)

-- name: unowned
-- Orders that wait for a call that is not answered, and that nobody gives up.
SELECT count(DISTINCT order_id) AS unowned FROM unowned JOIN ordering.orders USING (order_id) WHERE status = 'placed'

-- name: units_gone
-- Units that left the house for good.
SELECT coalesce(sum(gone), 0)::bigint AS units_gone FROM moves

-- name: progress
-- How the orders stand, and how many messages were handled so far; cheap, for it is asked often.
SELECT count(*) FILTER (WHERE status = 'placed') AS placed,
       count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
       count(*) FILTER (WHERE status = 'rejected') AS rejected,
       (SELECT count(*) FROM ordering.inbox) + (SELECT count(*) FROM payments.inbox)
       + (SELECT count(*) FROM inventory.inbox) + (SELECT count(*) FROM shipping.inbox)
       + (SELECT count(*) FROM fulfillment.inbox) + (SELECT count(*) FROM customers.inbox)
       + (SELECT count(*) FROM loyalty.inbox) + (SELECT count(*) FROM notifications.inbox) AS messages
  FROM ordering.orders

-- name: ended
-- How many orders have ended, or wait for somebody outside whom nobody will wait out; very cheap, for
-- it is asked many times a second.
SELECT (SELECT count(*) FROM ordering.orders WHERE status <> 'placed')
       + (SELECT count(DISTINCT order_id) FROM unowned JOIN ordering.orders USING (order_id)
           WHERE status = 'placed') AS ended

-- name: under_way
-- What is still to be done when all orders have ended: messages and calls on their way, processes
-- that have not heard the last answer, events that a view has not folded.
SELECT (SELECT count(*) FROM sent s JOIN links l ON l.source = s.service AND l.type = s.type
          LEFT JOIN heard h ON h.service = l.reader AND h.message_id = s.message_id
         WHERE h.message_id IS NULL) AS messages,
       (SELECT count(*) FROM calls) - (SELECT count(*) FROM unowned) AS calls,
       (SELECT count(*) FROM fulfillment.processes WHERE ended_at IS NULL) AS processes,
       (SELECT count(*) FROM (
          SELECT (SELECT max(notification_id) FROM ordering.stored_events) AS last,
                 (SELECT min(position) FROM ordering.cursors WHERE reader LIKE 'view:%') AS folded
          UNION ALL
          SELECT (SELECT max(notification_id) FROM payments.stored_events),
                 (SELECT min(position) FROM payments.cursors WHERE reader LIKE 'view:%')
          UNION ALL
          SELECT (SELECT max(notification_id) FROM inventory.stored_events),
                 (SELECT min(position) FROM inventory.cursors WHERE reader LIKE 'view:%')
          UNION ALL
          SELECT (SELECT max(notification_id) FROM shipping.stored_events),
                 (SELECT min(position) FROM shipping.cursors WHERE reader LIKE 'view:%')
          UNION ALL
          SELECT (SELECT max(notification_id) FROM fulfillment.stored_events),
                 (SELECT min(position) FROM fulfillment.cursors WHERE reader LIKE 'view:%')
          UNION ALL
          SELECT (SELECT max(notification_id) FROM notifications.stored_events),
                 (SELECT min(position) FROM notifications.cursors WHERE reader LIKE 'view:%')) AS v
         WHERE last > coalesce(folded, 0)) AS views
