-- What came from outside is not forgotten.

-- Forget the oldest part of the journal: what was sent and heard before a time, and is done with. It
-- is a part of the log, from its beginning: a clock that was set back cuts no hole. Kept in it:
--   what one of the service's relays has not yet published (`relays`: the readers of their cursors),
--     and of each kind of message the last that all have: by it a relay knows its stream again;
--   calls that wait for their answer;
--   what was heard and could be delivered again: the cursor that drops it has not passed it, or it came
--     from outside, whose stream begins anew when it is set back (its messages, not its cursor, are known);
--   what waits as a dead letter or once did: it may have been handled only now;
--   the cause of a timer that is set, and of whatever is kept;
--   what was heard last: by it the service knows its database again.
-- Who asks for a command's answer again does so within a day: nothing younger is forgotten.
CREATE OR REPLACE FUNCTION prune(before timestamptz, relays text[], OUT sent bigint, OUT heard bigint, OUT begins bigint)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  cut bigint;
  relayed bigint;
BEGIN
  IF before > clock_timestamp() - interval '24 hours' THEN
    RAISE EXCEPTION 'nothing younger than 24 hours is forgotten' USING ERRCODE = 'SP002';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('stagepost.prune'));
  SELECT coalesce(min(young.position) - 1, 9223372036854775807) INTO cut FROM (
    (SELECT position FROM outbox WHERE recorded_at >= before ORDER BY position LIMIT 1)
    UNION ALL
    (SELECT position FROM inbox WHERE recorded_at >= before ORDER BY position LIMIT 1)) young;
  SELECT coalesce(min(coalesce(c.position, 0)), 9223372036854775807) INTO relayed
    FROM unnest(relays) r(name) LEFT JOIN cursors c ON c.reader = r.name;

  WITH kept AS (
    SELECT max(position) AS position FROM outbox
     WHERE channel = 'broker' AND position <= relayed GROUP BY type, recipient),
  gone AS (
    DELETE FROM outbox o WHERE o.position <= cut AND CASE
      WHEN o.channel = 'broker' THEN o.position <= relayed AND NOT EXISTS (SELECT FROM kept WHERE position = o.position)
      ELSE NOT EXISTS (SELECT FROM calls WHERE position = o.position) END
    RETURNING *),
  noted AS (
    INSERT INTO pruned AS p (type, incarnation, position)
    SELECT type, max(incarnation), max(position) FROM gone WHERE kind = 'event' AND channel = 'broker' GROUP BY type
    ON CONFLICT (type) DO UPDATE SET incarnation = greatest(p.incarnation, EXCLUDED.incarnation),
                                     position = greatest(p.position, EXCLUDED.position))
  SELECT count(*) INTO sent FROM gone;

  WITH gone AS (
    DELETE FROM inbox i WHERE i.position <= cut AND i.position < (SELECT max(position) FROM inbox)
       AND i.source NOT LIKE 'EXTERNAL.%'
       AND NOT EXISTS (SELECT FROM cursors c WHERE c.reader = 'consumer' AND c.source = i.source
                          AND c.incarnation = i.incarnation AND c.position < i.source_position)
       AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.message_id = i.message_id)
       AND NOT EXISTS (SELECT FROM timers t WHERE t.causation_id = i.message_id)
       AND NOT EXISTS (SELECT FROM outbox o WHERE o.causation_id = i.message_id)
    RETURNING i.message_id)
  SELECT count(*) INTO heard FROM gone;

  SELECT coalesce(max(position), 0) INTO begins FROM pruned;
END $$;
