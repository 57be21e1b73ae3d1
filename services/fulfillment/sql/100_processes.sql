-- The view of processes: a fold of this service's events, so it can be emptied and rebuilt.
-- `stream` is the aggregate's UUID. `position` is where the process's first event stands in the
-- log: it never changes, and later processes have higher ones, so that lists can be read in pages.
-- Whether a process is overdue is asked with the clock, and never stored.
CREATE TABLE processes (
  stream uuid PRIMARY KEY,
  order_id text NOT NULL UNIQUE,
  customer_id text NOT NULL,
  state text NOT NULL,
  reason text,
  position bigint NOT NULL UNIQUE,
  started_at timestamptz NOT NULL,
  due_at timestamptz NOT NULL,
  ended_at timestamptz
);
CREATE INDEX processes_state_idx ON processes (state, position);
CREATE INDEX processes_waiting_idx ON processes (position) WHERE ended_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON processes TO stagepost_service;
GRANT SELECT ON processes TO stagepost_auditor;
