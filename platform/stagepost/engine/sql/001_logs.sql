-- The logs of one service: what happened, what is to be said, what was heard, and how far each
-- reader has come. Everything is written by the function `append` (002_append.sql).

-- The `eventsourcing` library's own layout, so that its recorders read and write this store,
-- and three columns of ours behind it. Positions are drawn under the lock of `append`.
CREATE TABLE stored_events (
  originator_id uuid NOT NULL,
  originator_version bigint NOT NULL,
  topic text NOT NULL,
  state bytea NOT NULL,
  notification_id bigserial,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  correlation_id uuid,
  causation_id uuid,
  PRIMARY KEY (originator_id, originator_version)
);
CREATE UNIQUE INDEX stored_events_notification_id_idx ON stored_events (notification_id);

-- What is sent and what is handled draw from one sequence: their union, by position, is the journal.
CREATE SEQUENCE log_position;

-- Messages to be sent: to the broker, or to a part of the outside world. Rows are never changed.
CREATE TABLE outbox (
  position bigint PRIMARY KEY,
  message_id uuid NOT NULL,
  channel text NOT NULL,
  kind text NOT NULL,
  type text NOT NULL,
  version int NOT NULL,
  key text NOT NULL,
  recipient text,
  body bytea NOT NULL,
  correlation_id uuid NOT NULL,
  causation_id uuid NOT NULL,
  traceparent text,
  incarnation int NOT NULL,
  recorded_at timestamptz NOT NULL
);
CREATE INDEX outbox_key_idx ON outbox (key, position);

-- Messages that were heard, and what was done about them.
CREATE TABLE inbox (
  message_id uuid PRIMARY KEY,
  position bigint NOT NULL UNIQUE,
  source text NOT NULL,
  incarnation int NOT NULL,
  source_position bigint NOT NULL,
  kind text NOT NULL,
  type text NOT NULL,
  key text NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('handled', 'ignored', 'refused', 'parked')),
  detail text,
  correlation_id uuid NOT NULL,
  causation_id uuid,
  recorded_at timestamptz NOT NULL
);
CREATE INDEX inbox_key_idx ON inbox (key, position);

-- Outbox rows addressed to the outside world that wait for an answer; answered ones are gone.
-- Calls of one lane are made one after the other.
CREATE TABLE calls (
  position bigint PRIMARY KEY REFERENCES outbox,
  channel text NOT NULL,
  lane text NOT NULL,
  attempt int NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL
);
CREATE INDEX calls_lane_idx ON calls (lane, position);
CREATE INDEX calls_due_idx ON calls (due_at, position);

-- Notes that processes sent to their own future; fired and cleared ones are gone.
CREATE TABLE timers (
  timer_id uuid PRIMARY KEY,
  type text NOT NULL,
  version int NOT NULL,
  key text NOT NULL,
  body bytea NOT NULL,
  correlation_id uuid NOT NULL,
  causation_id uuid NOT NULL,
  due_at timestamptz NOT NULL
);
CREATE INDEX timers_due_idx ON timers (due_at);
CREATE INDEX timers_key_idx ON timers (key);

-- How far each reader of a log has come: the relay, the consumer, each view.
CREATE TABLE cursors (
  reader text NOT NULL,
  source text NOT NULL,
  incarnation int NOT NULL,
  partition int NOT NULL,
  position bigint NOT NULL,
  hint bigint NOT NULL,
  PRIMARY KEY (reader, source, incarnation, partition)
) WITH (fillfactor = 50);

-- Which instance relays, consumes, calls and fires timers. The epoch fences those before it.
CREATE TABLE leases (
  name text PRIMARY KEY,
  holder text NOT NULL,
  epoch bigint NOT NULL,
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What clients were answered, by the key that they sent with their request.
CREATE TABLE idempotency (
  key text PRIMARY KEY,
  fingerprint bytea NOT NULL,
  response bytea NOT NULL,
  recorded_at timestamptz NOT NULL
);

-- Messages that could not be handled, and those that wait behind them in the order of their key.
CREATE TABLE dead_letters (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('parked', 'waiting', 'redrive', 'done', 'discarded')),
  reason text NOT NULL,
  attempts int NOT NULL DEFAULT 1,
  parked_at timestamptz NOT NULL,
  message_id uuid NOT NULL UNIQUE,
  source text NOT NULL,
  incarnation int NOT NULL,
  source_position bigint NOT NULL,
  kind text NOT NULL,
  type text NOT NULL,
  version int NOT NULL,
  key text NOT NULL,
  recipient text,
  body bytea NOT NULL,
  correlation_id uuid NOT NULL,
  causation_id uuid,
  traceparent text
);
CREATE INDEX dead_letters_open_idx ON dead_letters (key, id) WHERE state NOT IN ('done', 'discarded');

-- Which life of this database the outbox's positions belong to: raised when it was set back.
CREATE TABLE incarnation (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  incarnation int NOT NULL
);
INSERT INTO incarnation (incarnation) VALUES (1);

-- The service writes; history is never rewritten (but for the incarnation of what was never
-- published). The auditor reads.
GRANT SELECT, INSERT ON stored_events, outbox TO stagepost_service;
GRANT UPDATE (incarnation) ON outbox TO stagepost_service;
GRANT SELECT, INSERT, UPDATE ON inbox, cursors, leases, idempotency, dead_letters, incarnation TO stagepost_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON calls, timers TO stagepost_service;
GRANT USAGE, SELECT, UPDATE ON SEQUENCE log_position, stored_events_notification_id_seq TO stagepost_service;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO stagepost_auditor;
