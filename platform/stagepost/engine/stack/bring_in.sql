-- What an import asks and does, beside filling the tables.

-- name: is_used
-- Is there anything that an import would mix with?
SELECT EXISTS (SELECT FROM stored_events) OR EXISTS (SELECT FROM outbox) OR EXISTS (SELECT FROM inbox)
    OR EXISTS (SELECT FROM timers) OR EXISTS (SELECT FROM dead_letters)

-- name: columns
-- What can be filled, by table.
SELECT table_name, array_agg(column_name::text) AS columns
  FROM information_schema.columns WHERE table_schema = current_schema AND table_name = ANY ($1) GROUP BY table_name

-- name: make_room
-- What stands in a store from the beginning.
DELETE FROM pruned; DELETE FROM cursors; DELETE FROM incarnation; DELETE FROM flow;

-- name: fill
-- Rows as JSON, as they were written.
INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE
SELECT {names} FROM json_populate_recordset(NULL::{table}, $1::json)

-- name: go_on
-- What happens from now on has later positions.
SELECT setval('stored_events_notification_id_seq', greatest(max(notification_id), 1), max(notification_id) > 0)
  FROM stored_events;
SELECT setval('log_position', greatest(max(position), 1), max(position) > 0) FROM (
  SELECT position FROM outbox UNION ALL SELECT position FROM inbox UNION ALL SELECT position FROM pruned) AS logs;
SELECT setval(pg_get_serial_sequence('dead_letters', 'id'), greatest(max(id), 1), max(id) > 0) FROM dead_letters;
