-- Of the snapshots that newer ones replaced, the first of every thousand versions: who asks what an
-- aggregate was long ago has no more than about a thousand events to fold. Nothing else reads them.
CREATE TABLE past_snapshots (
  originator_id uuid,
  originator_version bigint,
  topic text NOT NULL,
  state bytea NOT NULL,
  PRIMARY KEY (originator_id, originator_version)
);

GRANT SELECT, INSERT ON past_snapshots TO stagepost_service;
GRANT SELECT ON past_snapshots TO stagepost_auditor;
