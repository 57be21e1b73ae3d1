-- name: load_stock
-- The rows that a batch of events is about to change.
SELECT * FROM stock WHERE stream = ANY ($1::text[]::uuid[])

-- name: save_stock
-- Writes a batch of rows; a SKU never changes its name.
INSERT INTO stock
SELECT * FROM jsonb_populate_recordset(NULL::stock, $1::jsonb)
ON CONFLICT (stream) DO UPDATE SET
  received = excluded.received,
  on_hand = excluded.on_hand,
  reserved = excluded.reserved,
  gone = excluded.gone

-- name: load_reservations
-- The rows that a batch of events is about to change.
SELECT * FROM reservations WHERE stream = ANY ($1::text[]::uuid[])

-- name: save_reservations
-- Writes a batch of rows; who wanted what never changes.
INSERT INTO reservations
SELECT * FROM jsonb_populate_recordset(NULL::reservations, $1::jsonb)
ON CONFLICT (stream) DO UPDATE SET
  status = excluded.status,
  changed_at = excluded.changed_at

-- name: list_stock
-- A page of SKUs by name: one that is declared meanwhile appears in its place or on no later page.
SELECT * FROM stock WHERE $1::text IS NULL OR sku > $1 ORDER BY sku LIMIT $2
