-- The view of notifications: a fold of this service's events, so it can be emptied and rebuilt.
-- `stream` is the aggregate's UUID. `position` is where the notification's first event stands in the
-- log: it never changes, and later ones have higher ones, so that lists can be read page by page.
CREATE TABLE notifications (
  stream uuid PRIMARY KEY,
  id text NOT NULL UNIQUE,
  customer_id text NOT NULL,
  about text NOT NULL CHECK (about IN ('welcome', 'confirmed', 'rejected')),
  reference text NOT NULL,
  status text NOT NULL CHECK (status IN ('requested', 'sent', 'failed')),
  said text,
  sha256 text,
  reason text CHECK ((reason IS NOT NULL) = (status = 'failed')),
  position bigint NOT NULL UNIQUE,
  requested_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  CHECK ((status = 'sent') = (said IS NOT NULL AND sha256 IS NOT NULL))
);
CREATE INDEX notifications_customer_idx ON notifications (customer_id, position);

GRANT SELECT, INSERT, UPDATE ON notifications TO stagepost_service;
GRANT SELECT ON notifications TO stagepost_auditor;
