-- The promises about what stands around the orders: points and mails. They are written as those of
-- promises.sql are.

-- name: 11 points are what was bought
-- A confirmed order that loyalty has heard of counts once, a point for a whole hundred of minor units;
-- a customer has the points of their orders, awarded and told where they are enrolled, else put aside.
, bought AS (
  SELECT DISTINCT ON (o.key) o.key AS order_id, o.body ->> 'customer_id' AS customer_id,
         CAST(o.body ->> 'amount' AS bigint) / 100 AS points
    FROM (SELECT key, position, message_id, convert_from(body, 'UTF8')::jsonb AS body
            FROM ordering.outbox WHERE type = 'ordering.OrderConfirmed') AS o
    JOIN heard h ON h.service = 'loyalty' AND h.message_id = o.message_id AND h.outcome <> 'parked'
   ORDER BY o.key, o.position),
happened AS MATERIALIZED (
  SELECT originator_id, topic, convert_from(state, 'UTF8')::jsonb AS state FROM loyalty.stored_events),
counted AS (
  SELECT state ->> 'order_id' AS order_id, state ->> 'customer_id' AS customer_id,
         CAST(state ->> 'points' AS bigint) AS points
    FROM happened WHERE topic = 'loyalty.Purchase.Counted'),
accounts AS (
  SELECT max(state ->> 'customer_id') AS customer_id, bool_or(topic = 'loyalty.Account.Enrolled') AS enrolled,
         coalesce(sum(CAST(state ->> 'points' AS bigint)) FILTER (WHERE topic = 'loyalty.Account.Awarded'), 0) AS awarded,
         coalesce(sum(CAST(state ->> 'points' AS bigint)) FILTER (WHERE topic = 'loyalty.Account.PutAside'), 0) AS aside
    FROM happened WHERE topic LIKE 'loyalty.Account.%' GROUP BY originator_id),
told AS (
  SELECT key AS customer_id, sum(CAST(convert_from(body, 'UTF8')::jsonb ->> 'points' AS bigint)) AS points
    FROM loyalty.outbox WHERE type = 'loyalty.PointsAwarded' GROUP BY key),
due AS (SELECT customer_id, sum(points) AS points FROM counted GROUP BY customer_id),
stand AS (
  SELECT coalesce(a.customer_id, d.customer_id) AS customer_id, coalesce(d.points, 0) AS due, a.enrolled,
         CASE WHEN a.enrolled THEN a.awarded ELSE a.aside END AS has, a.awarded, coalesce(t.points, 0) AS told
    FROM accounts a FULL JOIN due d USING (customer_id)
    LEFT JOIN told t ON t.customer_id = coalesce(a.customer_id, d.customer_id)),
wrong AS (
  SELECT 'order ' || coalesce(b.order_id, c.order_id) || ' is worth ' || coalesce(b.points, 0) || ' points to '
         || coalesce(b.customer_id, 'nobody') || ', loyalty counts ' || coalesce(c.points, 0) || ' for '
         || coalesce(c.customer_id, 'nobody') AS fault
    FROM bought b FULL JOIN counted c USING (order_id)
   WHERE (b.points, b.customer_id) IS DISTINCT FROM (c.points, c.customer_id)
  UNION ALL
  SELECT customer_id || ' has ' || coalesce(has, 0) || ' points of ' || due || ', and was told of ' || told
    FROM stand WHERE coalesce(has, 0) <> due OR told <> coalesce(awarded, 0))
SELECT (SELECT count(*) FROM wrong) AS violations,
       (SELECT string_agg(fault, '; ') FROM (SELECT fault FROM wrong ORDER BY fault LIMIT 3) AS w) AS examples,
       (SELECT count(*) FROM bought) AS confirmed_orders_heard_of,
       (SELECT count(*) FROM stand) AS customers,
       (SELECT coalesce(sum(awarded), 0)::bigint FROM stand) AS points_awarded,
       (SELECT coalesce(sum(has), 0)::bigint FROM stand WHERE NOT enrolled) AS put_aside

-- name: 12 one mail for each end and each customer
-- Whoever registers is sent the letter; for each of them, for each letter that was asked for from outside,
-- and for each end of an order that notifications has heard of, there is one mail: sent, with its proof,
-- failed, or visibly on its way.
, wanted AS (
  SELECT DISTINCT CASE s.type WHEN 'notifications.SendWelcomeLetter' THEN 'welcome/customers/' || s.key
                              ELSE 'order/' || s.key END AS id
    FROM sent s JOIN heard h ON h.service = 'notifications' AND h.message_id = s.message_id AND h.outcome <> 'parked'
   WHERE s.type IN ('notifications.SendWelcomeLetter', 'ordering.OrderConfirmed', 'ordering.OrderRejected')
  UNION
  SELECT n.id FROM notifications.notifications n
    JOIN events e ON e.service = 'notifications' AND e.originator_id = n.stream AND e.originator_version = 1
    JOIN heard h ON h.service = e.service AND h.message_id = e.causation_id AND h.source LIKE 'EXTERNAL.%'),
registered AS (
  SELECT DISTINCT h.key AS customer_id FROM heard h
   WHERE h.service = 'customers' AND h.type = 'customers.CustomerRegistered' AND h.outcome <> 'parked'),
mailed AS (
  SELECT n.id, n.status, count(h.message_id) AS taken FROM notifications.notifications n
    LEFT JOIN (SELECT originator_id, causation_id AS message_id FROM notifications.stored_events
                WHERE topic = 'notifications.Notification.Sent') AS h ON h.originator_id = n.stream
   GROUP BY n.id, n.status),
wrong AS (
  SELECT coalesce(w.id, m.id) || CASE WHEN m.id IS NULL THEN ' was never mailed' ELSE ' was mailed, and nobody wanted it' END AS fault
    FROM wanted w FULL JOIN mailed m USING (id) WHERE w.id IS NULL OR m.id IS NULL
  UNION ALL
  SELECT id || ' is ' || status || ', and was taken ' || taken || ' times'
    FROM mailed WHERE taken <> (status = 'sent')::int
  UNION ALL
  SELECT customer_id || ' is registered, and no letter was asked for' FROM registered r
   WHERE NOT EXISTS (SELECT FROM sent s WHERE s.service = 'customers' AND s.key = r.customer_id
                        AND s.type = 'notifications.SendWelcomeLetter'))
SELECT (SELECT count(*) FROM wrong) AS violations,
       (SELECT string_agg(fault, '; ') FROM (SELECT fault FROM wrong ORDER BY fault LIMIT 3) AS w) AS examples,
       (SELECT count(*) FROM registered) AS customers,
       count(*) AS mails,
       count(*) FILTER (WHERE status = 'sent') AS sent,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       count(*) FILTER (WHERE status = 'requested') AS on_their_way
  FROM mailed
