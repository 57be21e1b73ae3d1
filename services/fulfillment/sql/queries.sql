-- name: load_processes
-- The rows that a batch of events is about to change.
SELECT * FROM processes WHERE stream = ANY ($1::text[]::uuid[])

-- name: save_processes
-- Writes a batch of rows; who ordered, and by when it is due, never changes.
INSERT INTO processes
SELECT * FROM jsonb_populate_recordset(NULL::processes, $1::jsonb)
ON CONFLICT (stream) DO UPDATE SET
  state = excluded.state,
  reason = excluded.reason,
  ended_at = excluded.ended_at

-- name: list_processes
-- A page of processes after a position, in the order of starting; narrowed to a state, or to
-- those that are overdue now (true) or are not (false).
SELECT found.* FROM (
  SELECT *, ended_at IS NULL AND due_at < now() AS overdue FROM processes
) AS found
WHERE position > $1
  AND ($2::text IS NULL OR state = $2)
  AND ($3::boolean IS NULL OR overdue = $3)
ORDER BY position
LIMIT $4

-- name: find_process
-- One process by its order.
SELECT *, ended_at IS NULL AND due_at < now() AS overdue FROM processes WHERE order_id = $1
