-- Every statement of the store beside `append`: a name, why, and the text.

-- name: append
-- One round trip; see 002_append.sql.
SELECT * FROM append($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,
  $24,$25,$26,$27,$28,$29,$30,$31,$32,$33,$34,$35,$36,$37,$38,$39,$40,$41,$42,$43,$44,$45,$46,$47,$48,
  $49,$50,$51,$52,$53,$54,$55,$56,$57,$58,$59)

-- name: is_kept
-- Is this message there, or, if it was confirmed to be stored, is it still?
SELECT EXISTS (SELECT FROM inbox WHERE message_id = $1)

-- name: load
-- Several streams, so that a whole batch loads in one round trip: of each its snapshot, unless all
-- is asked for, and the events behind it. Most have none. (OFFSET 0 keeps each stream a probe.)
WITH s AS MATERIALIZED (SELECT * FROM snapshots WHERE originator_id = ANY ($1::uuid[]) AND NOT $2::boolean)
SELECT originator_id, originator_version, topic, state, true AS is_snapshot FROM s
UNION ALL
SELECT e.originator_id, e.originator_version, e.topic, e.state, false
  FROM s CROSS JOIN LATERAL (
    SELECT * FROM stored_events e
     WHERE e.originator_id = s.originator_id AND e.originator_version > s.originator_version OFFSET 0) AS e
UNION ALL
SELECT originator_id, originator_version, topic, state, false FROM stored_events
 WHERE originator_id = ANY (ARRAY(
   SELECT id FROM unnest($1::uuid[]) AS asked (id) WHERE id NOT IN (SELECT originator_id FROM s)))
ORDER BY originator_id, originator_version

-- name: keep_snapshots
-- The newest of each stream, and none that is ahead of it; of those before it the first of every
-- thousand versions. In one order, so that two writers never wait for each other.
WITH n AS MATERIALIZED (
  SELECT n.* FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::bytea[]) AS n (id, version, topic, state)
   WHERE n.version <= stored_version(n.id)), past AS (
  INSERT INTO past_snapshots
  SELECT s.* FROM n JOIN snapshots s ON s.originator_id = n.id AND s.originator_version < n.version
   WHERE s.originator_version >= 1000 AND NOT EXISTS (
     SELECT FROM past_snapshots p
      WHERE p.originator_id = n.id AND p.originator_version >= s.originator_version / 1000 * 1000)
   ORDER BY n.id
  ON CONFLICT DO NOTHING)
INSERT INTO snapshots AS s SELECT * FROM n ORDER BY id
ON CONFLICT (originator_id) DO UPDATE
  SET originator_version = EXCLUDED.originator_version, topic = EXCLUDED.topic, state = EXCLUDED.state
 WHERE s.originator_version < EXCLUDED.originator_version

-- name: idempotent
-- What was answered under these keys; older than a day is forgotten.
SELECT key, fingerprint, response FROM idempotency
 WHERE key = ANY ($1::text[]) AND recorded_at > clock_timestamp() - interval '24 hours'

-- name: events
-- One page of the log of all events.
SELECT notification_id, recorded_at, originator_id, originator_version, topic, state, correlation_id, causation_id
  FROM stored_events WHERE notification_id > $1 ORDER BY notification_id LIMIT $2

-- name: outbox
-- One page for the relay; the columns in the order of an envelope's fields.
SELECT message_id, type, version, kind, $3::text, key, correlation_id, causation_id, body, recipient,
       traceparent, incarnation, position, recorded_at
  FROM outbox WHERE position > $1 AND channel = 'broker' ORDER BY position LIMIT $2

-- name: outbox_row
-- Is the message at the broker's tail one of ours?
SELECT position, message_id, kind, type, version, key, recipient, body, correlation_id, causation_id,
       traceparent, recorded_at, incarnation
  FROM outbox WHERE position = $1 AND channel = 'broker'

-- name: feed
-- One page of event messages, by position, and between what the feed lies: all of one moment.
WITH begins AS (SELECT coalesce(max(position), 0) AS floor FROM pruned)
SELECT b.floor, i.incarnation AS life, greatest(b.floor, (
         SELECT position FROM outbox WHERE kind = 'event' AND channel = 'broker' ORDER BY position DESC LIMIT 1)) AS last,
       o.*
  FROM begins b CROSS JOIN incarnation i LEFT JOIN LATERAL (
    SELECT message_id, type, version, kind, $3::text, key, correlation_id, causation_id, body, recipient,
           traceparent, incarnation, position, recorded_at
      FROM outbox WHERE position > $1 AND kind = 'event' AND channel = 'broker' ORDER BY position LIMIT $2) o ON true
 ORDER BY o.position

-- name: pruned
-- Of each type of event the last that the feed does not have: it was forgotten, or is kept for a relay,
-- but stands before the feed begins.
SELECT type, max(incarnation) AS incarnation, max(position) AS position FROM (
  SELECT type, incarnation, position FROM pruned UNION ALL
  SELECT type, incarnation, position FROM outbox
   WHERE kind = 'event' AND channel = 'broker' AND position <= (SELECT max(position) FROM pruned)) gone
 GROUP BY type

-- name: due_calls
-- The oldest call of each lane that nobody works on, of channels with room; those behind it wait. And of
-- those that are not yet due the next: it says how long to sleep.
WITH first AS NOT MATERIALIZED (
  SELECT c.* FROM calls c
   WHERE c.lane <> ALL ($2::text[]) AND c.channel <> ALL ($3::text[])
     AND NOT EXISTS (SELECT FROM calls e WHERE e.lane = c.lane AND e.position < c.position)),
wanted AS (
  (SELECT * FROM first WHERE due_at <= (SELECT clock_timestamp()) ORDER BY due_at, position LIMIT $1)
  UNION ALL
  (SELECT * FROM first WHERE due_at > (SELECT clock_timestamp()) ORDER BY due_at, position LIMIT 1))
SELECT w.position, w.channel, w.lane, w.attempt, extract(epoch FROM w.due_at - clock_timestamp())::float8 AS due_in,
       o.message_id, o.kind, o.type, o.version, o.key, o.recipient, o.body, o.correlation_id, o.causation_id,
       o.traceparent, o.incarnation, o.recorded_at
  FROM wanted w JOIN outbox o USING (position) ORDER BY w.due_at, w.position

-- name: due_timers
-- Timers in the order in which they are due, and the first that is not yet: it says how long to sleep.
SELECT timer_id, type, version, key, body, correlation_id, causation_id, due_at,
       extract(epoch FROM due_at - clock_timestamp())::float8 AS due_in
  FROM ((SELECT * FROM timers WHERE due_at <= (SELECT clock_timestamp()) ORDER BY due_at, timer_id LIMIT $1)
        UNION ALL
        (SELECT * FROM timers WHERE due_at > (SELECT clock_timestamp()) ORDER BY due_at LIMIT 1)) t
 ORDER BY due_at, timer_id

-- name: put_right
-- What a clock made due that is set back since: a timer is due after the delay it was given, a call at once.
WITH timers_ahead AS (
  UPDATE timers SET due_at = due_at - (set_at - clock_timestamp()), set_at = clock_timestamp()
   WHERE set_at > clock_timestamp())
UPDATE calls SET due_at = clock_timestamp() WHERE due_at > clock_timestamp() + make_interval(secs => $1)

-- name: cursors
-- Where a reader stands in every log that it has read.
SELECT source, incarnation, partition, position, hint FROM cursors WHERE reader = $1

-- name: incarnation
-- The life of this database.
SELECT incarnation FROM incarnation

-- name: lock_append
-- Nothing is appended from now on until this transaction ends.
SELECT pg_advisory_xact_lock(hashtext('stagepost.append'))

-- name: raise_incarnation
-- This database was set back: what was sent since gets an incarnation that nobody had, what is sent
-- from now on higher positions as well. Only under the newest epoch of the lease; after `lock_append`.
WITH above AS (SELECT setval('log_position', greatest($1::bigint, (SELECT last_value FROM log_position)) + 1)
                 FROM leases WHERE name = $3 AND epoch = $4),
raised AS (UPDATE incarnation SET incarnation = greatest($5::bigint, incarnation) + 1 FROM above RETURNING incarnation),
moved AS (UPDATE outbox o SET incarnation = r.incarnation FROM raised r WHERE o.position > $2::bigint)
SELECT incarnation FROM raised

-- name: take_lease
-- By the database's clock. The same holder gets it at once: it fences what is left of its former self.
-- Under the lock of `append`: what the holder before is writing right now is seen by the next.
-- Who does not get it is noted as waiting. What lasts longer than a lease does was given by a clock
-- that is set back since: nobody waits for that.
WITH alone AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtext('stagepost.append'))),
taken AS (
  INSERT INTO leases AS l (name, holder, epoch, expires_at)
  SELECT $1, $2, 1, clock_timestamp() + make_interval(secs => $3) FROM alone
  ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, epoch = l.epoch + 1, expires_at = EXCLUDED.expires_at
   WHERE l.holder = EXCLUDED.holder OR l.expires_at < clock_timestamp()
      OR l.expires_at > clock_timestamp() + make_interval(secs => $3)
  RETURNING epoch),
waits AS (
  INSERT INTO waiting (lease, holder, until)
  SELECT $1, $2, clock_timestamp() + make_interval(secs => $3) WHERE NOT EXISTS (SELECT FROM taken)
  ON CONFLICT (lease, holder) DO UPDATE SET until = EXCLUDED.until),
gone AS (
  DELETE FROM waiting WHERE lease = $1 AND CASE WHEN holder = $2 THEN EXISTS (SELECT FROM taken)
                                                ELSE until < clock_timestamp() END)
SELECT epoch FROM taken

-- name: renew_lease
-- Only under the epoch that was given: who was paused for too long finds that it has passed on. Nor
-- where the clock is set back: who leads then begins anew, and puts right what was due by it.
UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => $3)
 WHERE name = $1 AND epoch = $2 AND expires_at <= clock_timestamp() + make_interval(secs => $3) RETURNING epoch

-- name: drop_lease
-- So that the next instance need not wait.
UPDATE leases SET expires_at = '-infinity' WHERE name = $1 AND epoch = $2

-- name: stop_waiting
-- This instance ends.
DELETE FROM waiting WHERE lease = $1 AND holder = $2

-- name: leadership
-- Who holds a lease, for how long, and who waits for it.
SELECT CASE WHEN expires_at > clock_timestamp() THEN holder END AS holder, epoch,
       CASE WHEN expires_at > clock_timestamp() THEN extract(epoch FROM expires_at - clock_timestamp())::float8
            ELSE 0 END AS expires_in,
       ARRAY(SELECT w.holder FROM waiting w WHERE w.lease = l.name AND w.until > clock_timestamp()
              ORDER BY w.holder) AS waiting
  FROM leases l WHERE name = $1

-- name: parked_keys
-- Keys whose messages must wait.
SELECT DISTINCT key FROM dead_letters WHERE state NOT IN ('done', 'discarded')

-- name: redrivable
-- Asked for, or waiting behind nothing any more: of each key the first, so that its order holds.
SELECT * FROM dead_letters d
 WHERE state IN ('redrive', 'waiting') AND NOT EXISTS (
   SELECT FROM dead_letters e WHERE e.key = d.key AND e.id < d.id AND e.state NOT IN ('done', 'discarded'))
 ORDER BY id LIMIT $1

-- name: dead_letters
-- What needs a person.
SELECT * FROM dead_letters WHERE state NOT IN ('done', 'discarded') AND id > $1 ORDER BY id LIMIT $2

-- name: redrive
-- Only what is parked: what waits comes by itself.
UPDATE dead_letters SET state = 'redrive' WHERE state = 'parked' AND id = ANY ($1::bigint[]) RETURNING id

-- name: discard
-- Given up for good, and why.
UPDATE dead_letters SET state = 'discarded', reason = reason || '; discarded: ' || $2
 WHERE state IN ('parked', 'waiting', 'redrive') AND id = ANY ($1::bigint[]) RETURNING id

-- name: discarded
-- Was this given up for good, and why?
SELECT reason FROM dead_letters WHERE message_id = $1 AND state = 'discarded'

-- name: journal
-- What was sent and what was heard, of all keys, in the order of commits.
(SELECT 'out' AS direction, position, message_id, type, kind, coalesce(recipient, nullif(channel, 'broker')) AS peer,
        key, NULL AS outcome, NULL AS detail, correlation_id, causation_id, recorded_at
   FROM outbox WHERE position > $1 ORDER BY position LIMIT $2)
UNION ALL
(SELECT 'in', position, message_id, type, kind, source, key, outcome, detail, correlation_id, causation_id, recorded_at
   FROM inbox WHERE position > $1 ORDER BY position LIMIT $2)
ORDER BY position LIMIT $2

-- name: journal_of_key
-- The same of one key.
(SELECT 'out' AS direction, position, message_id, type, kind, coalesce(recipient, nullif(channel, 'broker')) AS peer,
        key, NULL AS outcome, NULL AS detail, correlation_id, causation_id, recorded_at
   FROM outbox WHERE key = $3 AND position > $1 ORDER BY position LIMIT $2)
UNION ALL
(SELECT 'in', position, message_id, type, kind, source, key, outcome, detail, correlation_id, causation_id, recorded_at
   FROM inbox WHERE key = $3 AND position > $1 ORDER BY position LIMIT $2)
ORDER BY position LIMIT $2

-- name: backlog
-- Figures for metrics, each cheap: only what is pending is counted.
SELECT (SELECT count(*) FROM outbox WHERE channel = 'broker' AND position > (
          SELECT coalesce(min(coalesce(c.position, 0)), 9223372036854775807)
            FROM unnest($1::text[]) r(reader) LEFT JOIN cursors c USING (reader))) AS outbox_pending,
       (SELECT count(*) FROM calls) AS calls_pending,
       (SELECT count(*) FROM timers) AS timers_pending,
       (SELECT count(*) FROM dead_letters WHERE state NOT IN ('done', 'discarded')) AS dead_letters

-- name: unpublished
-- Too many? The count ends where that is known. (No relay: nothing waits for one.)
SELECT count(*) FROM (
  SELECT FROM outbox WHERE channel = 'broker' AND position > (
    SELECT coalesce(min(coalesce(c.position, 0)), 9223372036854775807)
      FROM unnest($1::text[]) r(reader) LEFT JOIN cursors c USING (reader)) LIMIT $2) waiting

-- name: answers
-- What was told about the keys of commands since they came: the answers are among it. Of those that
-- are not handled yet, nothing: what is told by then is about others.
SELECT i.message_id AS command, o.message_id, o.type, o.version, o.kind, $2::text, o.key, o.correlation_id,
       o.causation_id, o.body, o.recipient, o.traceparent, o.incarnation, o.position, o.recorded_at
  FROM inbox i JOIN outbox o ON o.key = i.key AND o.position > i.position AND o.kind = 'event'
 WHERE i.message_id = ANY ($1::uuid[]) AND i.outcome <> 'parked' ORDER BY o.position

-- name: move_view
-- A view's cursor, in the transaction of its rows.
INSERT INTO cursors AS c VALUES ($1, 'stored_events', 0, 0, $3, 0)
ON CONFLICT (reader, source, incarnation, partition) DO UPDATE SET position = EXCLUDED.position
 WHERE c.position = $2 RETURNING position

-- name: unread
-- How many messages of these types lie behind a reader's cursor.
SELECT count(*) AS messages FROM outbox WHERE position > $1 AND channel = 'broker' AND type = ANY ($2::text[])

-- name: view_lag
-- How many events the view that is furthest behind has not folded; without any view, none.
SELECT count(*) AS events FROM stored_events
 WHERE $1::int > 0 AND notification_id > coalesce((SELECT min(position) FROM cursors WHERE reader LIKE 'view:%'), 0)
