-- The bare probe: a log of events, an outbox, two cursors, and one statement that writes all of it.

-- name: tables
-- What one service of the probe has.
CREATE TABLE events (
  stream uuid NOT NULL,
  version bigint NOT NULL,
  topic text NOT NULL,
  state bytea NOT NULL,
  position bigserial UNIQUE,
  PRIMARY KEY (stream, version)
);
CREATE TABLE outbox (
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subject text NOT NULL,
  headers text NOT NULL,
  body bytea NOT NULL
);
CREATE TABLE cursors (name text PRIMARY KEY, position bigint NOT NULL);
INSERT INTO cursors VALUES ('relay', 0), ('consumer', 0);
CREATE FUNCTION append(
  e_stream uuid[], e_version bigint[], e_topic text[], e_state bytea[],
  o_subject text[], o_headers text[], o_body bytea[], handled bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1);
  IF handled > 0 THEN
    UPDATE cursors SET position = position + handled WHERE name = 'consumer';
  END IF;
  INSERT INTO events (stream, version, topic, state)
    SELECT * FROM unnest(e_stream, e_version, e_topic, e_state);
  INSERT INTO outbox (subject, headers, body) SELECT * FROM unnest(o_subject, o_headers, o_body);
END $$;

-- name: append
-- One micro-batch: events, messages to be sent, and how many messages that makes handled.
SELECT append($1, $2, $3, $4, $5, $6, $7, $8)

-- name: load
-- The events of the orders that a micro-batch is about.
SELECT stream, version, topic, state FROM events WHERE stream = ANY ($1::uuid[]) ORDER BY stream, version

-- name: outbox
-- One chunk for the relay.
SELECT position, subject, headers, body FROM outbox WHERE position > $1 ORDER BY position LIMIT 500

-- name: sent
-- The relay's cursor.
UPDATE cursors SET position = $1 WHERE name = 'relay'
