-- name: load_orders
-- The rows that a batch of events is about to change.
SELECT * FROM orders WHERE stream = ANY ($1::text[]::uuid[])

-- name: save_orders
-- Writes a batch of rows; what was ordered never changes.
INSERT INTO orders
SELECT * FROM jsonb_populate_recordset(NULL::orders, $1::jsonb)
ON CONFLICT (stream) DO UPDATE SET
  status = excluded.status,
  reason = excluded.reason,
  cancellation = excluded.cancellation,
  ended_at = excluded.ended_at

-- name: list_orders
-- A page of orders after a position, in the order of placing; of one status, or of all.
SELECT * FROM orders
WHERE position > $1 AND ($2::text IS NULL OR status = $2)
ORDER BY position
LIMIT $3

-- name: list_own_orders
-- The same, of one customer.
SELECT * FROM orders
WHERE customer_id = $4 AND position > $1 AND ($2::text IS NULL OR status = $2)
ORDER BY position
LIMIT $3
