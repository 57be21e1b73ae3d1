-- The view of payments: a fold of this service's events, so it can be emptied and rebuilt.
-- `stream` is the aggregate's UUID, `id` is `caller/reference`, as the provider knows it.
CREATE TABLE payments (
  stream uuid PRIMARY KEY,
  id text NOT NULL UNIQUE,
  order_id text NOT NULL,
  caller text NOT NULL,
  reference text NOT NULL,
  status text NOT NULL
    CHECK (status IN ('requested', 'received', 'declined', 'refunding', 'refunded', 'barred')),
  reason text,
  amount bigint NOT NULL CHECK (amount >= 0),
  received bigint NOT NULL CHECK (received >= 0),
  refunded bigint NOT NULL CHECK (refunded BETWEEN 0 AND received),
  currency text,
  requested_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
CREATE INDEX payments_order_idx ON payments (order_id);

GRANT SELECT, INSERT, UPDATE ON payments TO stagepost_service;
GRANT SELECT ON payments TO stagepost_auditor;
