-- name: load_payments
-- The rows that a batch of events is about to change.
SELECT * FROM payments WHERE stream = ANY ($1::text[]::uuid[])

-- name: save_payments
-- Writes a batch of rows; who asked for what never changes.
INSERT INTO payments
SELECT * FROM jsonb_populate_recordset(NULL::payments, $1::jsonb)
ON CONFLICT (stream) DO UPDATE SET
  status = excluded.status,
  reason = excluded.reason,
  received = excluded.received,
  refunded = excluded.refunded,
  changed_at = excluded.changed_at

-- name: payments_of_order
-- What every caller asked for one order, the oldest first.
SELECT * FROM payments WHERE order_id = $1 ORDER BY requested_at, id
