-- The view of orders: a fold of this service's events, so it can be emptied and rebuilt.
-- `stream` is the aggregate's UUID. `position` is where the order's first event stands in the log:
-- it never changes, and later orders have higher ones, so that lists can be read page by page.
CREATE TABLE orders (
  stream uuid PRIMARY KEY,
  order_id text NOT NULL UNIQUE,
  customer_id text NOT NULL,
  status text NOT NULL CHECK (status IN ('placed', 'confirmed', 'rejected')),
  reason text CHECK ((reason IS NOT NULL) = (status = 'rejected')),
  cancellation text NOT NULL CHECK (cancellation IN ('none', 'requested', 'too_late', 'done')),
  amount bigint NOT NULL CHECK (amount >= 0),
  currency text NOT NULL,
  position bigint NOT NULL UNIQUE,
  placed_at timestamptz NOT NULL,
  ended_at timestamptz CHECK ((ended_at IS NULL) = (status = 'placed'))
);
CREATE INDEX orders_status_idx ON orders (status, position);

GRANT SELECT, INSERT, UPDATE ON orders TO stagepost_service;
GRANT SELECT ON orders TO stagepost_auditor;
