-- When each view was rebuilt last, up to which event, in how many seconds, and how many of its rows
-- were not as the events make them.
CREATE TABLE rebuilds (
  view text PRIMARY KEY,
  rebuilt_at timestamptz NOT NULL,
  position bigint NOT NULL,
  seconds double precision NOT NULL,
  differences bigint NOT NULL
);

GRANT SELECT ON rebuilds TO stagepost_service, stagepost_auditor;
