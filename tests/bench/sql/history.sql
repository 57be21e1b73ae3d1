-- History, made in a database whose service is not running: what some orders have left there is
-- written again, copy by copy, as if as many others had been placed before. $1 and $2 are the first
-- and the last copy; {log}, {events} and {spans} are how many positions one copy takes: in the log
-- of messages, in that of events, and in the log of each service by name.

-- name: tools
-- Another id, the same for the same copy in every database; another order's name in a text.
CREATE FUNCTION pg_temp.other(id uuid, copy int) RETURNS uuid LANGUAGE sql IMMUTABLE AS
  $$ SELECT md5(id::text || copy)::uuid $$;
CREATE FUNCTION pg_temp.named(text text, copy int) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT replace(text, 'bench-', 'h' || copy || '-') $$;
CREATE FUNCTION pg_temp.named(body bytea, copy int) RETURNS bytea LANGUAGE sql IMMUTABLE AS
  $$ SELECT convert_to(replace(convert_from(body, 'UTF8'), 'bench-', 'h' || copy || '-'), 'UTF8') $$;

-- name: spans
-- How many positions there are so far.
SELECT (SELECT last_value FROM log_position) AS log,
       (SELECT last_value FROM stored_events_notification_id_seq) AS events

-- name: events
-- The stock of a thing goes on in its own stream; of an order all streams are others.
WITH original AS MATERIALIZED (
  SELECT *, topic LIKE 'inventory.StockItem.%' AS goes_on,
         max(originator_version) OVER (PARTITION BY originator_id) AS versions
    FROM stored_events WHERE notification_id <= {events})
INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id,
                           recorded_at, correlation_id, causation_id)
SELECT CASE WHEN goes_on THEN originator_id ELSE pg_temp.other(originator_id, n) END,
       CASE WHEN goes_on THEN originator_version + n * (versions - 1) ELSE originator_version END,
       topic, pg_temp.named(state, n), notification_id + n * {events}::bigint, recorded_at,
       pg_temp.other(correlation_id, n), pg_temp.other(causation_id, n)
  FROM generate_series($1::int, $2::int) AS n, original
 WHERE NOT goes_on OR originator_version > 1 ORDER BY n, notification_id

-- name: outbox
INSERT INTO outbox (position, message_id, channel, kind, type, version, key, recipient, body,
                    correlation_id, causation_id, traceparent, incarnation, recorded_at)
SELECT position + n * {log}::bigint, pg_temp.other(message_id, n), channel, kind, type, version,
       pg_temp.named(key, n), recipient, pg_temp.named(body, n), pg_temp.other(correlation_id, n),
       pg_temp.other(causation_id, n), traceparent, incarnation, recorded_at
  FROM generate_series($1::int, $2::int) AS n, outbox WHERE position <= {log} ORDER BY n, position

-- name: inbox
INSERT INTO inbox (message_id, position, source, incarnation, source_position, kind, type, key,
                   outcome, detail, correlation_id, causation_id, recorded_at)
SELECT pg_temp.other(message_id, n), position + n * {log}::bigint, source, incarnation,
       source_position + n * coalesce(('{spans}'::jsonb ->> source)::bigint, 0), kind, type,
       pg_temp.named(key, n), outcome, detail, pg_temp.other(correlation_id, n),
       pg_temp.other(causation_id, n), recorded_at
  FROM generate_series($1::int, $2::int) AS n, inbox WHERE position <= {log} ORDER BY n, position

-- name: view
-- The rows of a view that are about an order.
INSERT INTO {view}
SELECT r.* FROM generate_series($1::int, $2::int) AS n, {view} AS v, jsonb_populate_record(
  NULL::{view}, pg_temp.named(to_jsonb(v)::text, n)::jsonb
    || jsonb_build_object('stream', pg_temp.other(v.stream, n))
    || CASE WHEN to_jsonb(v) ? 'position' THEN
         jsonb_build_object('position', (to_jsonb(v) ->> 'position')::bigint + n * {events}::bigint)
       ELSE '{{}}' END) AS r
 WHERE v.order_id LIKE 'bench-%'

-- name: stock
-- The stock of each thing after all copies: $1 of them.
UPDATE stock SET received = received * (1 + $1::int), on_hand = on_hand * (1 + $1::int),
                 reserved = reserved * (1 + $1::int), gone = gone * (1 + $1::int)

-- name: snapshots
-- What that makes of each thing, as the service keeps it now and then.
INSERT INTO snapshots
SELECT stream, stored_version(stream), 'inventory.StockItem', convert_to(json_build_object(
         'class_version', 1, 'values', json_build_object(
           'sku', sku, 'on_hand', on_hand, 'reserved', reserved, 'gone', gone))::text, 'UTF8') FROM stock
ON CONFLICT (originator_id) DO UPDATE
  SET originator_version = EXCLUDED.originator_version, state = EXCLUDED.state

-- name: cursors
-- Everything was read: $1 copies of it.
UPDATE cursors SET hint = 0, position = position + $1::int * CASE
  WHEN reader LIKE 'view:%' THEN {events}::bigint ELSE ('{spans}'::jsonb ->> source)::bigint END

-- name: sequences
SELECT setval('log_position', {log}::bigint * (1 + $1::int)),
       setval('stored_events_notification_id_seq', {events}::bigint * (1 + $1::int))

-- name: last
-- The last message for the broker: its stream must end with it.
SELECT max(position) FROM outbox WHERE channel = 'broker'
