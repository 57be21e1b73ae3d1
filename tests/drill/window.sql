-- The database `drill` shows one window of all that is stored, under the names that the promises
-- know; all of it stands in schemas named `all_...`. Names in braces are the drill's own.

-- name: copy
-- What the auditor has, for the drill to look at otherwise.
CREATE DATABASE drill TEMPLATE audit;

-- name: aside
-- All that is stored of one service moves aside; the window gets its place.
ALTER SCHEMA "{service}" RENAME TO "all_{service}";
CREATE SCHEMA "{service}";
CREATE TABLE "{service}".stored_events (LIKE "all_{service}".stored_events);

-- name: tables
-- Every foreign table, and its columns.
SELECT substr(table_schema, 5) AS service, table_name AS name, array_agg(column_name::text) AS columns
  FROM information_schema.columns WHERE table_schema LIKE 'all\_%' GROUP BY 1, 2

-- name: view
-- What of a table belongs to the window.
CREATE OR REPLACE VIEW "{service}"."{table}" AS SELECT * FROM "all_{service}"."{table}" WHERE {belongs};

-- name: events
-- Events have no key: those of every stream in which the window's messages did anything. A copy,
-- for it is asked for again and again.
TRUNCATE "{service}".stored_events;
WITH causes AS MATERIALIZED (SELECT message_id FROM "all_{service}".inbox WHERE key LIKE '{prefix}%'),
events AS MATERIALIZED (SELECT * FROM "all_{service}".stored_events WHERE notification_id > {since})
INSERT INTO "{service}".stored_events
SELECT * FROM events WHERE originator_id IN (
  SELECT originator_id FROM events WHERE causation_id IN (SELECT message_id FROM causes));

-- name: last_event
-- Where the log of a service stands.
SELECT coalesce(max(notification_id), 0) AS last FROM "all_{service}".stored_events

-- name: ended
-- The orders of the window that have ended.
SELECT DISTINCT key FROM ordering.outbox
 WHERE type IN ('ordering.OrderConfirmed', 'ordering.OrderRejected')

-- name: waiting
-- Orders of the window that have not ended, and how their process stands.
SELECT p.key || coalesce(' ' || w.state || ', due ' || w.due_at, ' without a process') AS standing
  FROM ordering.outbox p LEFT JOIN fulfillment.processes w ON w.order_id = p.key
 WHERE p.type = 'ordering.OrderPlaced' AND NOT EXISTS (
   SELECT FROM ordering.outbox e WHERE e.key = p.key
      AND e.type IN ('ordering.OrderConfirmed', 'ordering.OrderRejected'))
 ORDER BY 1 LIMIT 5

-- name: strays
-- Messages that one service sent or heard, and that belong to no window.
SELECT count(*) AS messages FROM (
  SELECT key FROM "all_{service}".outbox UNION ALL SELECT key FROM "all_{service}".inbox) AS m
 WHERE key !~ '^w[0-9]{{4}}-'
