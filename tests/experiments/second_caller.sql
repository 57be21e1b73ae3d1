-- What is asked, in the database `audit`, of a shop in which payments has two callers.

-- name: money
-- Each caller's money: what it asked for, what the provider has (its own ledger), what payments says, and
-- what the caller counts on: orders that its processes confirmed, returns that it accepted. `unasked` are
-- answers to others that it heard as well.
WITH asked AS (
  SELECT caller, key, count(*) AS times, max(amount) AS amount FROM (
    SELECT 'fulfillment' AS caller, key, CAST(convert_from(body, 'UTF8')::jsonb ->> 'amount' AS bigint) AS amount
      FROM fulfillment.outbox WHERE type = 'payments.RetrievePayment'
    UNION ALL
    SELECT 'returns', key, CAST(convert_from(body, 'UTF8')::jsonb ->> 'amount' AS bigint)
      FROM returns.outbox WHERE type = 'payments.RetrievePayment') AS a GROUP BY caller, key),
counted_on AS (
  SELECT 'fulfillment' AS caller, order_id AS key FROM fulfillment.processes WHERE state = 'Confirmed'
  UNION ALL
  SELECT 'returns', key FROM returns.outbox WHERE type = 'returns.ReturnAccepted'),
wanted AS (
  SELECT a.caller, count(*) AS payments, count(*) FILTER (WHERE times > 1) AS asked_again,
         coalesce(sum(amount) FILTER (WHERE c.key IS NOT NULL), 0)::bigint AS counted_on
    FROM asked a LEFT JOIN counted_on c USING (caller, key) GROUP BY a.caller),
ledger AS (
  SELECT split_part(reference, '/', 1) AS caller, sum(amount)::bigint AS kept FROM outside.charges GROUP BY 1),
charged AS (
  SELECT split_part(reference, '/', 1) AS caller, max(times) AS most FROM (
    SELECT reference, count(*) AS times FROM outside.charges WHERE kind = 'charge' GROUP BY 1) AS r GROUP BY 1),
books AS (
  SELECT caller, sum(received - refunded)::bigint AS kept FROM payments.payments GROUP BY 1),
unasked AS (
  SELECT 'fulfillment' AS caller, count(*) AS answers FROM fulfillment.inbox
   WHERE type LIKE 'payments.%' AND outcome = 'ignored' AND detail LIKE 'answers %'
  UNION ALL
  SELECT 'returns', count(*) FROM returns.inbox
   WHERE type LIKE 'payments.%' AND outcome = 'ignored' AND detail LIKE 'answers %')
SELECT caller, w.payments, w.asked_again, c.most AS most_charges, l.kept AS provider, b.kept AS says,
       w.counted_on, u.answers AS unasked
  FROM ledger l FULL JOIN books b USING (caller) FULL JOIN wanted w USING (caller)
  LEFT JOIN charged c USING (caller) LEFT JOIN unasked u USING (caller)
 ORDER BY caller
