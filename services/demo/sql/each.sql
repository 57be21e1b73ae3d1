-- What is read of each service, and put together of all: `{service}` is its name. Where logs.sql has one of
-- these names in braces, all of it stands.

-- name: sent
SELECT '{service}' AS service, position, message_id, channel, kind, type, key, recipient, causation_id, recorded_at
  FROM "{service}".outbox

-- name: heard
SELECT '{service}' AS service, position, message_id, source, incarnation, source_position, kind, type, key,
       outcome, causation_id
  FROM "{service}".inbox

-- name: events
SELECT '{service}' AS service, notification_id, originator_id, originator_version, topic, causation_id
  FROM "{service}".stored_events

-- name: calls
SELECT '{service}' AS service, position FROM "{service}".calls

-- name: read_to
SELECT '{service}' AS reader, source, position FROM "{service}".cursors WHERE reader = 'consumer'

-- name: handled
SELECT count(*) AS messages FROM "{service}".inbox

-- name: views
-- Of those that have views.
SELECT (SELECT max(notification_id) FROM "{service}".stored_events) AS last,
       (SELECT min(position) FROM "{service}".cursors WHERE reader LIKE 'view:%') AS folded
