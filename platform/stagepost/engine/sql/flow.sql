-- Which flow a store belongs to.

-- name: keep
-- The first to ask decides; all get what is kept.
WITH first AS (
  INSERT INTO flow (style, transports) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING style, transports)
SELECT style, transports FROM first UNION ALL SELECT style, transports FROM flow

-- name: kept
-- None where nothing was ever started on it.
SELECT style, transports FROM flow

-- name: change
-- By the owner of the table, once all work is done.
INSERT INTO flow (style, transports) VALUES ($1, $2)
ON CONFLICT (one) DO UPDATE SET style = EXCLUDED.style, transports = EXCLUDED.transports

-- name: waiting
-- What a service has yet to do by itself.
SELECT (SELECT count(*) FROM calls) AS calls, (SELECT count(*) FROM timers) AS timers,
       (SELECT count(*) FROM dead_letters WHERE state NOT IN ('done', 'discarded')) AS dead_letters

-- name: reached
-- How far a reader has come with a source, in the newest life that it knows of.
SELECT incarnation, position FROM cursors WHERE reader = 'consumer' AND source = $1 ORDER BY incarnation DESC LIMIT 1

-- name: told
-- Messages of these types behind a reader's cursor; to commands and events the same.
SELECT message_id FROM outbox
 WHERE type = ANY ($1::text[]) AND (incarnation, position) > ($2, $3) AND channel = 'broker'

-- name: last
-- Where the last message of these types stands.
SELECT incarnation, position FROM outbox
 WHERE type = ANY ($1::text[]) AND channel = 'broker' ORDER BY position DESC LIMIT 1

-- name: pass
-- A reader goes on behind this place of a source.
INSERT INTO cursors AS c VALUES ('consumer', $1, $2, 0, $3, 0)
ON CONFLICT (reader, source, incarnation, partition) DO UPDATE SET position = EXCLUDED.position
 WHERE c.position < EXCLUDED.position

-- name: unheard
-- How many of these the reader does not have.
SELECT count(*) FROM unnest($1::uuid[]) m(id) WHERE NOT EXISTS (SELECT FROM inbox WHERE message_id = m.id)

-- name: heard
-- How many messages came from whom, by type.
SELECT source, type, count(*) AS messages FROM inbox WHERE kind IN ('command', 'event') GROUP BY source, type

-- name: heard_of
-- Which of these it has heard.
SELECT message_id FROM inbox WHERE message_id = ANY ($1::uuid[])

-- name: has_pruned
-- A row where the oldest part of the journal was forgotten.
SELECT true FROM pruned LIMIT 1

-- name: events_told
-- How many events the feed has.
SELECT count(*) AS events FROM outbox WHERE kind = 'event' AND channel = 'broker'
