-- name: read_charges
-- What was answered under these keys, and everything of these references, oldest first.
SELECT to_jsonb(c)::text AS entry FROM charges c
 WHERE idempotency_key = ANY ($1::text[]) OR reference = ANY ($2::text[]) ORDER BY id

-- name: record_charges
-- The entries of many requests in one statement: one wait for the disk.
INSERT INTO charges (idempotency_key, reference, number, order_id, kind, amount, currency, answer)
SELECT idempotency_key, reference, number, order_id, kind, amount, currency, answer
  FROM jsonb_populate_recordset(NULL::charges, $1::jsonb)

-- name: page_charges
-- One page of the provider's ledger, for people.
SELECT id, to_jsonb(c)::text AS entry FROM charges c WHERE id > $1 ORDER BY id LIMIT $2

-- name: read_parcels
-- What was answered under these keys, and everything of these references, oldest first.
SELECT to_jsonb(p)::text AS entry FROM parcels p
 WHERE idempotency_key = ANY ($1::text[]) OR reference = ANY ($2::text[]) ORDER BY id

-- name: record_parcels
-- The entries of many requests in one statement: one wait for the disk.
INSERT INTO parcels (idempotency_key, reference, number, order_id, kind, lines, units, answer)
SELECT idempotency_key, reference, number, order_id, kind, lines, units, answer
  FROM jsonb_populate_recordset(NULL::parcels, $1::jsonb)

-- name: page_parcels
-- One page of the carrier's ledger, for people.
SELECT id, to_jsonb(p)::text AS entry FROM parcels p WHERE id > $1 ORDER BY id LIMIT $2

-- name: lose_answer
-- Counts an answer that is kept back; returns nothing once $2 of them were.
INSERT INTO lost_answers (idempotency_key, nth)
SELECT $1, count(*) + 1 FROM lost_answers WHERE idempotency_key = $1 HAVING count(*) < $2
RETURNING nth

-- name: alive
-- Can the ledgers be read?
SELECT count(*) FROM (SELECT FROM charges LIMIT 1) AS found
