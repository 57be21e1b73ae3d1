-- What pgbench runs: the rows that `append` writes for so many commits, made by the server itself.

-- name: rows
-- {rows} commits in one transaction, in one statement per table, each prepared once.
BEGIN;
INSERT INTO inbox (message_id, position, source, incarnation, source_position, kind, type, key,
                   outcome, detail, correlation_id, causation_id, recorded_at)
SELECT gen_random_uuid(), nextval('log_position'), 'bench', 1, 0, 'request', 'bench.Done',
       gen_random_uuid()::text, 'handled', NULL, gen_random_uuid(), NULL, now()
  FROM generate_series(1, {rows});
INSERT INTO stored_events (originator_id, originator_version, topic, state,
                           recorded_at, correlation_id, causation_id)
SELECT gen_random_uuid(), 1, 'bench.Thing.Done', '{body}', now(), gen_random_uuid(), gen_random_uuid()
  FROM generate_series(1, {rows});
INSERT INTO outbox (position, message_id, channel, kind, type, version, key, recipient, body,
                    correlation_id, causation_id, traceparent, incarnation, recorded_at)
SELECT nextval('log_position'), gen_random_uuid(), 'broker', 'event', 'bench.Done', 1,
       gen_random_uuid()::text, NULL, '{body}', gen_random_uuid(), gen_random_uuid(), NULL, 1, now()
  FROM generate_series(1, {rows});
COMMIT;
