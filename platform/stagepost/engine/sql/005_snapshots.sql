-- What the aggregates of long streams had become at a version, so that not all of a stream has to be
-- read: the newest only. The `eventsourcing` library's own columns. It is derived data: whoever
-- empties this table loses nothing but time.
CREATE TABLE snapshots (
  originator_id uuid PRIMARY KEY,
  originator_version bigint NOT NULL,
  topic text NOT NULL,
  state bytea NOT NULL
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON snapshots TO stagepost_service;
GRANT SELECT ON snapshots TO stagepost_auditor;
