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

-- name: last_of_stream
-- Where a stream stands, or stood: its last event up to a version, a position, a time.
SELECT originator_version, notification_id, recorded_at FROM stored_events
 WHERE originator_id = $1 AND ($2::bigint IS NULL OR originator_version <= $2)
   AND ($3::bigint IS NULL OR notification_id <= $3) AND ($4::timestamptz IS NULL OR recorded_at <= $4)
 ORDER BY originator_version DESC LIMIT 1

-- name: snapshot
-- What an aggregate was at the last version of which that is kept, up to the one that is asked for.
SELECT originator_id, originator_version, topic, state FROM (TABLE snapshots UNION ALL TABLE past_snapshots) AS s
 WHERE originator_id = $1 AND originator_version <= $2 ORDER BY originator_version DESC LIMIT 1

-- name: firsts
-- The first event of each of these streams: it says how the stream is called.
SELECT notification_id, recorded_at, originator_id, originator_version, topic, state, correlation_id, causation_id
  FROM stored_events WHERE originator_id = ANY ($1::uuid[]) AND originator_version = 1

-- name: last_firsts
-- The first events of the streams that began last.
SELECT notification_id, recorded_at, originator_id, originator_version, topic, state, correlation_id, causation_id
  FROM stored_events WHERE originator_version = 1 ORDER BY notification_id DESC LIMIT $1

-- name: positions_near
-- The position that was asked for, where there is one, and those before and behind it.
(SELECT notification_id FROM stored_events WHERE notification_id <= $1 ORDER BY notification_id DESC LIMIT 1)
UNION ALL
(SELECT notification_id FROM stored_events WHERE notification_id > $1 ORDER BY notification_id LIMIT 1)

-- name: is_heard_of
-- Did any message of this key come here?
SELECT EXISTS (SELECT FROM inbox WHERE key = $1)

-- name: keys_near
-- Keys that stand beside one in the order of text.
SELECT DISTINCT key FROM (
  (SELECT key FROM inbox WHERE key < $1 ORDER BY key DESC LIMIT 200)
  UNION ALL
  (SELECT key FROM inbox WHERE key > $1 ORDER BY key LIMIT 200)) near ORDER BY key

-- name: journal_of_key
-- What was sent and heard of a key, of some correlations or of all.
(SELECT 'out' AS direction, position, message_id, type, kind, coalesce(recipient, nullif(channel, 'broker')) AS peer,
        key, NULL AS outcome, NULL AS detail, correlation_id, causation_id, recorded_at, NULL::bigint AS source_position
   FROM outbox WHERE key = $1 AND ($2::uuid[] IS NULL OR correlation_id = ANY ($2)) ORDER BY position LIMIT $3)
UNION ALL
(SELECT 'in', position, message_id, type, kind, source, key, outcome, detail, correlation_id, causation_id, recorded_at,
        source_position
   FROM inbox WHERE key = $1 AND ($2::uuid[] IS NULL OR correlation_id = ANY ($2)) ORDER BY position LIMIT $3)

-- name: heard
-- Which of these messages were heard here, and what was done about them.
SELECT 'in' AS direction, position, message_id, type, kind, source AS peer, key, outcome, detail, correlation_id,
       causation_id, recorded_at, source_position
  FROM inbox WHERE message_id = ANY ($1::uuid[])

-- name: sent_at
-- What was sent at these positions.
SELECT 'out' AS direction, position, message_id, type, kind, coalesce(recipient, nullif(channel, 'broker')) AS peer,
       key, NULL AS outcome, NULL AS detail, correlation_id, causation_id, recorded_at, NULL::bigint AS source_position
  FROM outbox WHERE position = ANY ($1::bigint[])

-- name: sent_of
-- Which of these messages were sent here, under these keys.
SELECT 'out' AS direction, position, message_id, type, kind, coalesce(recipient, nullif(channel, 'broker')) AS peer,
       key, NULL AS outcome, NULL AS detail, correlation_id, causation_id, recorded_at, NULL::bigint AS source_position
  FROM outbox WHERE key = ANY ($2::text[]) AND message_id = ANY ($1::uuid[])

-- name: sent_for
-- What these messages made the service send. It stands in the transaction in which each was heard: behind
-- it, before the next one's. But for dead letters, which were handled later: for them all is looked through.
WITH h AS MATERIALIZED (
  SELECT i.message_id, i.position, (
           SELECT n.position FROM inbox n WHERE n.position > i.position AND n.recorded_at <> i.recorded_at
            ORDER BY n.position LIMIT 1) AS until
    FROM inbox i WHERE i.message_id = ANY ($1::uuid[]))
SELECT 'out' AS direction, o.position, o.message_id, type, kind, coalesce(recipient, nullif(channel, 'broker')) AS peer,
       key, NULL AS outcome, NULL AS detail, correlation_id, causation_id, recorded_at, NULL::bigint AS source_position
  FROM h JOIN outbox o ON o.causation_id = h.message_id AND o.position > h.position
                      AND o.position < coalesce(h.until, 9223372036854775807)
UNION
SELECT 'out', position, message_id, type, kind, coalesce(recipient, nullif(channel, 'broker')),
       key, NULL, NULL, correlation_id, causation_id, recorded_at, NULL
  FROM outbox WHERE causation_id IN (SELECT message_id FROM dead_letters WHERE message_id = ANY ($1::uuid[]))
ORDER BY position

-- name: all_rows
-- All rows of a small table, as they are written down in an export.
SELECT row_to_json(t)::text AS row FROM {table} AS t {where} ORDER BY t

-- name: page_of_rows
-- One page of a table in the order of its key, each row with its key, by which the next page begins.
SELECT {key} AS at, row_to_json(t)::text AS row FROM {table} AS t {where} ORDER BY {key} LIMIT $1
