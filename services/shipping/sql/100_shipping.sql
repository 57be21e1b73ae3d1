-- The view of parcels: a fold of this service's events, so it can be emptied and rebuilt.
-- `stream` is the aggregate's UUID, `id` is `caller/reference`, as the carrier knows it.
CREATE TABLE parcels (
  stream uuid PRIMARY KEY,
  id text NOT NULL UNIQUE,
  order_id text NOT NULL,
  caller text NOT NULL,
  reference text NOT NULL,
  status text NOT NULL CHECK (status IN ('requested', 'shipped', 'refused')),
  tracking text CHECK ((tracking IS NOT NULL) = (status = 'shipped')),
  reason text CHECK ((reason IS NOT NULL) = (status = 'refused')),
  units bigint NOT NULL CHECK (units > 0),
  requested_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
CREATE INDEX parcels_order_idx ON parcels (order_id);

GRANT SELECT, INSERT, UPDATE ON parcels TO stagepost_service;
GRANT SELECT ON parcels TO stagepost_auditor;
