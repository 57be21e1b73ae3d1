-- name: load_notifications
-- The rows that a batch of events is about to change.
SELECT * FROM notifications WHERE stream = ANY ($1::text[]::uuid[])

-- name: save_notifications
-- Writes a batch of rows; who is told what never changes.
INSERT INTO notifications
SELECT * FROM jsonb_populate_recordset(NULL::notifications, $1::jsonb)
ON CONFLICT (stream) DO UPDATE SET
  status = excluded.status,
  said = excluded.said,
  sha256 = excluded.sha256,
  reason = excluded.reason,
  changed_at = excluded.changed_at

-- name: list_notifications
-- A page of notifications after a position, in the order of asking; of one customer, or of all.
SELECT * FROM notifications
WHERE position > $1 AND ($2::text IS NULL OR customer_id = $2)
ORDER BY position
LIMIT $3
