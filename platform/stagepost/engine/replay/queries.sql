-- What a replay reads: a name, why, and the text. Nothing here writes.

-- name: head
-- Where the last event stands.
SELECT coalesce(max(notification_id), 0) FROM stored_events

-- name: count
-- How many events there are.
SELECT count(*) FROM stored_events

-- name: entries
-- One page of the log of all events.
SELECT notification_id, recorded_at, originator_id, originator_version, topic, state, correlation_id, causation_id
  FROM stored_events WHERE notification_id > $1 AND notification_id <= $2 ORDER BY notification_id LIMIT $3

-- name: entries_where
-- The same of those recorded since a time, caused by messages of a key, of types that match. What a process
-- heard stands in its event, also when its journal is pruned.
SELECT notification_id, recorded_at, originator_id, originator_version, topic, state, correlation_id, causation_id
  FROM stored_events
 WHERE notification_id > $1 AND notification_id <= $2
   AND ($4::timestamptz IS NULL OR recorded_at >= $4)
   AND ($5::text IS NULL OR causation_id IN (SELECT message_id FROM inbox WHERE key = $5))
   AND ($6::text[] = '{}' OR topic LIKE ANY ($6) OR CASE WHEN topic LIKE 'stagepost.Instance.%'
        THEN convert_from(state, 'UTF8')::jsonb #>> '{heard,type}'
        ELSE (SELECT type FROM inbox WHERE message_id = causation_id) END LIKE ANY ($6))
 ORDER BY notification_id LIMIT $3

-- name: entries_of_stream
-- One page of one stream.
SELECT notification_id, recorded_at, originator_id, originator_version, topic, state, correlation_id, causation_id
  FROM stored_events
 WHERE originator_id = $1 AND originator_version > $2 AND ($3::bigint IS NULL OR originator_version <= $3)
 ORDER BY originator_version LIMIT $4

-- name: entries_by_stream
-- One page of all streams, one after the other.
SELECT notification_id, recorded_at, originator_id, originator_version, topic, state, correlation_id, causation_id
  FROM stored_events WHERE (originator_id, originator_version) > ($1, $2) AND notification_id <= $3
 ORDER BY originator_id, originator_version LIMIT $4
