-- name: load_parcels
-- The rows that a batch of events is about to change.
SELECT * FROM parcels WHERE stream = ANY ($1::text[]::uuid[])

-- name: save_parcels
-- Writes a batch of rows; who wanted what sent never changes.
INSERT INTO parcels
SELECT * FROM jsonb_populate_recordset(NULL::parcels, $1::jsonb)
ON CONFLICT (stream) DO UPDATE SET
  status = excluded.status,
  tracking = excluded.tracking,
  reason = excluded.reason,
  changed_at = excluded.changed_at

-- name: parcels_of_order
-- What every caller wanted sent for one order, the oldest first.
SELECT * FROM parcels WHERE order_id = $1 ORDER BY requested_at, id
