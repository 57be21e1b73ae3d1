-- What everything else is made of, and what the demonstration asks while it runs: SQL over the
-- database `audit`, where each service's tables stand in a schema of its name. `logs` is put before
-- each statement, here, in promises.sql and in around.sql, which go on from there. What stands in braces is
-- read of each service (each.sql). $1 holds what only the code knows: who reads which messages and fetches
-- which answers, which answers settle a command, in whose name payment and stock are asked for, which
-- orders were accepted.

-- name: logs
-- Everything that was sent and heard, of all services; the rest is folded from it.
WITH links AS (
  SELECT * FROM jsonb_to_recordset($1::jsonb -> 'links') AS l (source text, type text, reader text, fetched boolean)),
answers AS (
  SELECT * FROM jsonb_to_recordset($1::jsonb -> 'answers') AS a (command text, answer text)),
accepted AS (
  SELECT jsonb_array_elements_text($1::jsonb -> 'accepted') AS order_id),
sent AS MATERIALIZED ({sent}),
heard AS MATERIALIZED ({heard}),
events AS MATERIALIZED ({events}),
calls AS ({calls}),
unowned AS (  -- nobody gives these orders up: where nobody orchestrates, nobody owns their deadline
  SELECT s.key AS order_id, c.due_at FROM payments.calls c JOIN payments.outbox s USING (position)
   WHERE $1::jsonb ->> 'asks' = 'ordering' AND c.attempt >= 4),
read_to AS (
  SELECT reader, source, max(position) AS position FROM ({read_to}) AS c GROUP BY reader, source),
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
       (SELECT sum(messages) FROM ({handled}) AS h)::bigint AS messages
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
       (SELECT count(*) FROM ({views}) AS v WHERE last > coalesce(folded, 0)) AS views
